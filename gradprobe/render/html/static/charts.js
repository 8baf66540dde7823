// Three charts over the steps, drawn by uPlot: gradient norms, ranges of values, bytes that are
// kept for backward. A step where something went wrong is a line across all of them, with its code.

const LINES = ["--series-1", "--series-2", "--series-3", "--series-4"];
const HEIGHT = 220;

function setUpCharts() {
  const section = byId("charts");
  const { steps: numbers, norm, value, saved } = data.charts;
  const told = [
    norm.length && [
      "Gradient norm",
      "the size of the gradient that comes to each stage",
      norm,
      short,
    ],
    value.length && ["Value range", "the largest absolute value of each stage", value, short],
    saved.length && [
      "Kept for backward",
      "bytes that the ops of each step keep, at least",
      [{ name: "kept", values: saved }],
      bytes,
    ],
  ].filter(Boolean);
  if (numbers.length < 2 || !told.length) {
    section.append(make("p", { class: "faint" }, "Fewer than two steps have numbers to draw."));
    return;
  }
  section.append(
    make("div", { class: "chart-grid" }, ...told.map((one) => chart(numbers, ...one))),
  );
}

// Logarithmic where the numbers are far apart: a norm that falls a thousandfold is seen at once.
// Such a scale has no zero; where there are zeros it is linear below the least number.
function scaleOf(lines) {
  const known = lines.flatMap(({ values }) => values).filter((n) => n !== null);
  const sizes = known.filter((n) => n > 0);
  const least = sizes.reduce((a, b) => Math.min(a, b), Infinity);
  if (!sizes.length || sizes.reduce((a, b) => Math.max(a, b)) / least <= 50) {
    return { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.08 : 1] };
  }
  return known.length === sizes.length ? { distr: 3 } : { distr: 4, asinh: least };
}

function chart(numbers, title, about, lines, say_) {
  const scale = scaleOf(lines);
  const holder = make("div", {
    class: "plot",
    tabindex: "0",
    role: "img",
    "aria-label": describe(numbers, title, lines, say_),
  });
  const readout = make("p", { class: "readout" });
  const figure = make(
    "figure",
    {},
    make(
      "figcaption",
      {},
      make("strong", {}, title),
      make("span", { class: "faint" }, ` ${about}${scale.distr ? ", logarithmic" : ""}`),
    ),
    holder,
    readout,
  );
  let plot = null;
  const told = (at) => readout.replaceChildren(...legend(numbers, lines, at, say_));
  const draw = () => {
    plot?.destroy();
    plot = new uPlot(
      options(holder, scale, lines, say_, told),
      [numbers, ...lines.map(({ values }) => values)],
      holder,
    );
  };
  told(null);
  holder.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || !plot) return;
    event.preventDefault();
    const at = Math.max(
      0,
      Math.min(numbers.length - 1, (plot.cursor.idx ?? (by > 0 ? -1 : numbers.length)) + by),
    );
    plot.setCursor({ left: plot.valToPos(numbers[at], "x"), top: plot.over.clientHeight / 2 });
    say(readout.textContent);
  });
  onTheme.push(() => plot && draw());
  new ResizeObserver(() => {
    if (!holder.clientWidth) return;
    if (plot) plot.setSize({ width: holder.clientWidth, height: HEIGHT });
    else draw();
  }).observe(holder);
  return figure;
}

function options(holder, scale, lines, say_, told) {
  const axis = {
    stroke: color("--faint"),
    grid: { stroke: color("--rule"), width: 1 },
    ticks: { stroke: color("--rule"), width: 1 },
    font: "12px system-ui, sans-serif",
  };
  return {
    width: holder.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: true, y: false }, points: { size: 7 } },
    scales: { x: { time: false }, y: scale },
    axes: [
      {
        ...axis,
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000],
        space: 44,
        size: 34,
      },
      {
        ...axis,
        ...(scale.distr ? decades(axis) : {}),
        size: 62,
        values: (_, ticks) => ticks.map((n) => (n === null ? "" : say_(n))),
      },
    ],
    series: [
      {},
      ...lines.map(({ name }, number) => ({
        label: name,
        stroke: color(LINES[number]),
        width: 1.75,
        dash: [[], [7, 4], [2, 3], [9, 3, 2, 3]][number], // by its dashes too a line is known
        points: { show: lines[number].values.length < 30, size: 4 },
      })),
    ],
    hooks: { draw: [drawMarks], setCursor: [(plot) => told(plot.cursor.idx)] },
  };
}

// On a logarithmic scale only powers of ten, and of many of them only some.
function decades(axis) {
  const filter = (_, ticks) => {
    const whole = ticks.filter(
      (n) => n === 0 || Number.isInteger(Number(Math.log10(Math.abs(n)).toFixed(6))),
    );
    const every = Math.ceil(whole.length / 6);
    const kept = new Set(whole.filter((n, at) => n === 0 || (whole.length - 1 - at) % every === 0));
    return ticks.map((n) => (kept.has(n) ? n : null));
  };
  return { filter, grid: { ...axis.grid, filter }, ticks: { ...axis.ticks, filter } };
}

function drawMarks(plot) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.font = `600 ${11 * ratio}px system-ui, sans-serif`;
  ctx.textBaseline = "top";
  ctx.textAlign = "left";
  let free = 0; // labels give way to each other downwards
  let row = 0;
  for (const { step, word } of data.charts.marks) {
    const x = Math.round(plot.valToPos(step, "x", true));
    if (x < bbox.left - 1 || x > bbox.left + bbox.width + 1) continue;
    ctx.strokeStyle = color("--cut-line");
    ctx.lineWidth = 1.5 * ratio;
    ctx.setLineDash([4 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    const text = `\u00d7 ${word}`;
    const width = ctx.measureText(text).width + 8 * ratio;
    const left = Math.min(x + 2 * ratio, bbox.left + bbox.width - width);
    row = left < free ? (row + 1) % 4 : 0;
    free = left + width;
    const top = bbox.top + row * 18 * ratio;
    ctx.setLineDash([]);
    ctx.fillStyle = color("--cut-fill");
    ctx.fillRect(left, top, width, 17 * ratio);
    ctx.fillStyle = color("--cut-text");
    ctx.fillText(text, left + 4 * ratio, top + 3 * ratio);
  }
  ctx.restore();
}

// The names of the lines, and what they are at one step.
function legend(numbers, lines, at, say_) {
  const none = at === null || at === undefined;
  const bad = none ? null : data.charts.marks.find(({ step }) => step === numbers[at]);
  return [
    make(
      "span",
      { class: "at" },
      none ? "" : `step ${numbers[at]}${bad ? ` \u00d7 ${bad.word}` : ""}`,
    ),
    ...lines.map(({ name, values }, number) =>
      make(
        "span",
        { class: `key key-${number + 1}` },
        make("bdi", {}, name),
        none ? "" : ` ${values[at] === null ? "\u2014" : say_(values[at])}`,
      ),
    ),
  ];
}

function describe(numbers, title, lines, say_) {
  const told = lines.map(({ name, values }) => {
    const known = values.filter((n) => n !== null);
    return known.length
      ? `${name}: first ${say_(known[0])}, last ${say_(known.at(-1))}`
      : `${name}: none`;
  });
  const bad = data.charts.marks.map(({ step, word }) => `${word} at step ${step}`);
  const over = `${title} over steps ${numbers[0]} to ${numbers.at(-1)}`;
  return `${[over, ...told, ...bad].join(". ")}. Arrow keys tell each step.`;
}
