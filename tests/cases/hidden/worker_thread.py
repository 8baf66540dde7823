"""A worker thread runs the denoiser and hands its answer over in a queue."""

import queue
import sys
import threading

from _around import Denoiser, loss_on, noise, sample

which = sys.argv[1]
model = Denoiser()


def denoise(x, sigma):
    answers = queue.Queue()

    def work():
        clean = model(x, sigma)
        if which == "inside":
            clean = clean.detach()  # CULPRIT
        answers.put(clean)

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    return answers.get()


def loss_of(z):
    x = sample(denoise, z)
    if which == "beside":
        x = 0.5 * x + 0.5 * x.detach()  # CULPRIT
    return loss_on(x)


z0 = noise()
loss_of(z0).backward()
