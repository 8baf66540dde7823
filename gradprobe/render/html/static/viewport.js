// One drawing in its window: the part of it that is seen is the viewBox of the SVG, so that lines
// and words stay sharp however near one comes.

const READABLE = 0.62; // pixels a unit: below that, words in the drawing are no longer read
const CLOSEST = 4;

class Viewport {
  constructor(frame) {
    this.frame = frame;
    this.svg = frame.querySelector("svg");
    const [x, y, width, height] = this.svg.getAttribute("viewBox").split(/[ ,]+/).map(Number);
    this.whole = { x, y, width, height };
    this.seen = { ...this.whole };
    this.pointers = new Map();
    frame.addEventListener("pointerdown", (event) => this.pressed(event));
    frame.addEventListener("pointermove", (event) => this.moved(event));
    for (const name of ["pointerup", "pointercancel"])
      frame.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    frame.addEventListener("wheel", (event) => this.wheeled(event), { passive: false });
  }

  // Pixels for each unit of the drawing.
  get scale() {
    return Math.min(
      this.frame.clientWidth / this.seen.width,
      this.frame.clientHeight / this.seen.height,
    );
  }

  apply() {
    const { x, y, width, height } = this.seen;
    this.svg.setAttribute("viewBox", `${x} ${y} ${width} ${height}`);
  }

  // The window is as high as the drawing needs, within what a page can spare.
  size() {
    const width = this.frame.clientWidth;
    if (!width) return;
    const natural = (this.whole.height / this.whole.width) * width;
    const most = Math.min(window.innerHeight * 0.7, 640);
    const height = Math.max(Math.min(natural, most, this.whole.height * 1.5), 180);
    this.frame.style.height = `${Math.round(height)}px`;
  }

  fit() {
    this.seen = { ...this.whole };
    this.apply();
  }

  // Of a drawing too wide to be read as a whole, what is around `group`.
  start(group) {
    this.size();
    this.fit();
    if (this.scale >= READABLE) return;
    this.scaleTo(0.9);
    if (group) this.centre(group);
    else this.align();
  }

  // Where it begins; what is smaller than the window stands in the middle.
  align() {
    const { seen, whole } = this;
    seen.x = whole.x - Math.max(seen.width - whole.width, 0) / 2;
    seen.y = whole.y - Math.max(seen.height - whole.height, 0) / 2;
    this.apply();
  }

  scaleTo(scale) {
    const width = this.frame.clientWidth / scale;
    const height = this.frame.clientHeight / scale;
    this.seen = {
      x: this.seen.x + (this.seen.width - width) / 2,
      y: this.seen.y + (this.seen.height - height) / 2,
      width,
      height,
    };
    this.keep();
  }

  // What is seen always holds a part of the drawing.
  keep() {
    const { seen, whole } = this;
    seen.x = Math.max(
      whole.x - seen.width * 0.75,
      Math.min(whole.x + whole.width - seen.width * 0.25, seen.x),
    );
    seen.y = Math.max(
      whole.y - seen.height * 0.75,
      Math.min(whole.y + whole.height - seen.height * 0.25, seen.y),
    );
    this.apply();
  }

  zoom(factor, clientX, clientY) {
    const least = Math.min(
      this.frame.clientWidth / this.whole.width,
      this.frame.clientHeight / this.whole.height,
    );
    const scale = Math.max(least * 0.9, Math.min(CLOSEST, this.scale * factor));
    const before = this.at(clientX, clientY);
    this.scaleTo(scale);
    if (before) {
      const after = this.at(clientX, clientY);
      this.seen.x += before.x - after.x;
      this.seen.y += before.y - after.y;
      this.keep();
    }
  }

  // Where a point of the screen is in the drawing.
  at(clientX, clientY) {
    const matrix = this.svg.getScreenCTM();
    if (clientX === undefined || !matrix) return null;
    return new DOMPoint(clientX, clientY).matrixTransform(matrix.inverse());
  }

  pan(x, y) {
    this.seen.x += x / this.scale;
    this.seen.y += y / this.scale;
    this.keep();
  }

  centre(group) {
    const box = group.getBoundingClientRect();
    const middle = this.at(box.x + box.width / 2, box.y + box.height / 2);
    if (!middle) return;
    this.seen.x = middle.x - this.seen.width / 2;
    this.seen.y = middle.y - this.seen.height / 2;
    this.keep();
  }

  // Only as far as needed, so that moving from box to box does not make the drawing jump.
  reveal(group) {
    const box = group.getBoundingClientRect();
    const frame = this.frame.getBoundingClientRect();
    if (this.scale < READABLE) this.scaleTo(0.9);
    const outside =
      box.left < frame.left ||
      box.right > frame.right ||
      box.top < frame.top ||
      box.bottom > frame.bottom;
    if (outside || this.scale * 1.01 >= 0.9) this.centre(group);
  }

  // Moves a box out from under what covers a part of the window.
  clear(group, cover) {
    const frame = this.frame.getBoundingClientRect();
    if (cover.width > window.innerWidth * 0.9) {
      const room = cover.top - frame.top;
      if (room < 140)
        window.scrollBy({ top: Math.min(140 - room, frame.top - 100), behavior: "instant" });
    }
    const now = this.frame.getBoundingClientRect();
    const beside = cover.left > now.left + 80;
    const right = beside ? Math.min(now.right, cover.left) : now.right;
    const bottom = beside ? now.bottom : Math.min(now.bottom, cover.top);
    const box = group.getBoundingClientRect();
    const inside =
      box.left >= now.left && box.right <= right && box.top >= now.top && box.bottom <= bottom;
    if (inside || bottom <= now.top) return;
    this.pan(
      box.x + box.width / 2 - (now.left + right) / 2,
      box.y + box.height / 2 - (now.top + bottom) / 2,
    );
  }

  pressed(event) {
    if (event.button) return;
    this.pointers.set(event.pointerId, event);
    this.travelled = 0;
  }

  moved(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const others = [...this.pointers.values()].filter(
      (other) => other.pointerId !== event.pointerId,
    );
    this.travelled += Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY);
    if (this.travelled > 6 && !this.frame.hasPointerCapture(event.pointerId)) {
      this.frame.setPointerCapture(event.pointerId); // not before: a click is the box's own
    }
    if (others.length) {
      const [other] = others;
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      const x = (event.clientX + other.clientX) / 2;
      const y = (event.clientY + other.clientY) / 2;
      this.zoom(apart(event) / Math.max(apart(before), 1), x, y);
    } else {
      this.pan(before.clientX - event.clientX, before.clientY - event.clientY);
    }
    this.pointers.set(event.pointerId, event);
  }

  // The wheel alone scrolls the page, as everywhere.
  wheeled(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    this.zoom(
      Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.004)),
      event.clientX,
      event.clientY,
    );
  }
}
