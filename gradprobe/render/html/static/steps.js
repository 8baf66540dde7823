// From the run to an op: stages of the run, their steps, the functions ("modules") of a step, the
// lines of a function. Four columns beside each other; what is chosen in one fills the next.

const steps = { columns: [], chosen: [] };
const TITLES = ["Stage", "Step", "Module", "Op"];

// Steps in a row that did the same, as one: [first part, last part].
function stretches() {
  const found = [];
  data.outline.parts.forEach((part, number) => {
    const last = found.at(-1);
    const before = last && data.outline.parts[last[1]];
    const same =
      before &&
      before[0] !== null &&
      part[0] !== null &&
      before[2] === part[2] &&
      before[4] === part[4];
    if (same) last[1] = number;
    else found.push([number, number]);
  });
  return found;
}

function partName(number) {
  const { parts } = data.outline;
  if (parts[number][0] !== null) return `step ${parts[number][0]}`;
  if (!parts.some(([step]) => step !== null)) return "the whole run";
  return parts.slice(0, number).some(([step]) => step !== null)
    ? "after the steps"
    : "before the steps";
}

function stretchName([first, last]) {
  const { parts } = data.outline;
  return first === last ? partName(first) : `steps ${parts[first][0]}\u2013${parts[last][0]}`;
}

const counted = (count, word) =>
  `${String(count).replace(/\B(?=(\d{3})+$)/g, "\u202f")} ${word}${count === 1 ? "" : "s"}`;

function common(states) {
  const all = new Set(states);
  if (all.has("cut")) return "cut";
  return all.size === 1 ? [...all][0] : "partial";
}

// What a column holds, given what is chosen to its left. An item: state, name, a count, what it is.
function items(column) {
  const { parts, bodies, blocks } = data.outline;
  const [stretch, part, block] = steps.chosen;
  if (column === 0) {
    return stretches().map((one) => {
      const ops = parts.slice(one[0], one[1] + 1).reduce((sum, [, count]) => sum + count, 0);
      return {
        state: parts[one[0]][2],
        name: stretchName(one),
        more: counted(ops, "op"),
        value: one,
      };
    });
  }
  if (column === 1) {
    const numbers = Array.from({ length: stretch[1] - stretch[0] + 1 }, (_, n) => stretch[0] + n);
    return numbers.map((number) => {
      const [, ops, state, saved] = parts[number];
      const more = [counted(ops, "op"), saved ? bytes(saved) : ""].filter(Boolean).join(" \u00b7 ");
      return { state, name: partName(number), more, value: number };
    });
  }
  if (column === 2) {
    return (bodies[parts[part][4]] ?? []).map((number) => {
      const [name, , lines] = blocks[number];
      const ops = lines.reduce((sum, [, count]) => sum + count, 0);
      return {
        state: common(lines.map(([, , state]) => state)),
        name: name || "(no source)",
        more: counted(ops, "op"),
        value: number,
      };
    });
  }
  return blocks[block][2].map((line, number) => {
    const [op, count, state] = line;
    return { state, name: op, more: count > 1 ? `\u00d7${count}` : "", code: line, value: number };
  });
}

function setUpSteps() {
  const section = byId("steps");
  if (!data.outline.parts.length) {
    section.append(
      make("p", { class: "faint" }, "This report does not tell which ops ran in which step."),
    );
    return;
  }
  section.append(
    make(
      "p",
      { class: "faint" },
      "What ran between leaf and root, from a stretch of steps down to a line of source; " +
        "of a step, what its ops keep for backward.",
    ),
  );
  steps.columns = TITLES.map((title) => {
    const list = make("ul", {});
    const column = make("div", { class: "column" }, make("h3", {}, title), list);
    return { list, column };
  });
  section.append(make("div", { class: "columns" }, ...steps.columns.map(({ column }) => column)));
  const left = data.outline.left_out;
  if (left)
    section.append(
      make("p", { class: "faint" }, `${counted(left, "line")} or steps more are not told here.`),
    );
  const all = items(0);
  fill(0);
  const { parts } = data.outline;
  const blamed = data.findings.find(({ step }) => step !== null && hasStep(step))?.step;
  const at = (number) =>
    all.find(({ value: [first, last] }) => first <= number && number <= last).value;
  const part = parts.findIndex(([step]) => step === blamed);
  const start =
    part >= 0
      ? part
      : (worstOf(all) ?? all.find(({ value }) => parts[value[0]][0] !== null) ?? all[0]).value[0];
  goDown([at(start), start]);
}

// Whether a finding stands on a line of this module.
function isBlamed({ value }) {
  const [, file, lines] = data.outline.blocks[value];
  const numbers = data.findings
    .map(({ at }) => data.frames[at])
    .filter((frame) => frame?.[0] === file)
    .map(([, line]) => line);
  return lines.some(([, , , line]) => numbers.includes(line));
}

const worstOf = (told) =>
  WORST.map((state) => told.find((item) => item.state === state)).find(Boolean);

function fill(column) {
  const { list, column: around } = steps.columns[column];
  const known = column === 0 || steps.chosen[column - 1] !== undefined;
  const told = known ? items(column) : [];
  around.classList.toggle("empty", !told.length);
  list.classList.toggle("long", told.length > 100);
  list.replaceChildren(...told.map((item) => make("li", {}, entry(column, item))));
  if (known && !told.length) list.append(make("li", { class: "faint" }, "not told here"));
}

function entry(column, item) {
  const [mark, meaning] = data.marks[item.state];
  const name = make("span", { class: "name" }, make("bdi", {}, item.name));
  const top = make(
    "span",
    { class: "row" },
    make("span", { class: "mark", "data-state": item.state, title: meaning }, mark),
    name,
    make("span", { class: "more" }, item.more),
    make("span", { class: "spoken" }, `, ${meaning}`),
  );
  const code =
    item.code && item.code[5]
      ? make(
          "code",
          { class: "snippet" },
          item.code[4],
          make("mark", {}, item.code[5]),
          item.code[6],
        )
      : null;
  const one = make(
    "button",
    {
      type: "button",
      "aria-pressed": "false",
      onclick: () => pick(column, item),
      onkeydown: (e) => keyInSteps(e, column),
    },
    top,
    code,
  );
  one.value_ = item.value;
  return one;
}

const buttonsOf = (column) => [...steps.columns[column].list.querySelectorAll("button")];

function press(column, value) {
  for (const one of buttonsOf(column)) {
    const same = String(one.value_) === String(value);
    one.setAttribute("aria-pressed", String(same));
    if (same && one.offsetParent) {
      const list = steps.columns[column].list; // not scrollIntoView, which would move the page too
      const top = one.offsetTop - list.offsetTop;
      if (top < list.scrollTop || top > list.scrollTop + list.clientHeight - 40)
        list.scrollTop = top - 40;
    }
  }
}

function pick(column, item) {
  if (column === 3) {
    press(3, item.value);
    showOp(item);
    return;
  }
  goDown([...steps.chosen.slice(0, column), item.value]);
}

// Chooses a way from the left, and what follows of itself: the one step of a stretch, and of a step
// the module where gradient fared worst.
function goDown(chosen) {
  steps.chosen = chosen;
  const [stretch] = chosen;
  if (chosen.length === 1 && stretch[0] === stretch[1]) steps.chosen = [stretch, stretch[0]];
  if (steps.chosen.length === 2) {
    const modules = items(2);
    const first = modules.find(isBlamed) ?? worstOf(modules) ?? modules[0];
    if (first) steps.chosen = [...steps.chosen, first.value];
  }
  for (let column = 1; column < 4; column += 1) fill(column);
  steps.chosen.forEach((value, column) => press(column, value));
}

function showOp(item) {
  const block = data.outline.blocks[steps.chosen[2]];
  openDrawer(
    item.name,
    make("p", {}, stateTag(item.state)),
    codeOf(lineFrame(block, item.code)),
    facts([
      ["ops in this step", item.code[1]],
      ["where", partName(steps.chosen[1])],
    ]),
  );
}

function keyInSteps(event, column) {
  if (arrows(event, buttonsOf(column), ["ArrowUp", "ArrowDown"])) return;
  if (event.key === "ArrowRight" && column < 3) {
    event.target.closest("button").click();
    const there = buttonsOf(column + 1);
    (there.find((one) => one.getAttribute("aria-pressed") === "true") ?? there[0])?.focus();
  } else if (event.key === "ArrowLeft" && column > 0) {
    buttonsOf(column - 1)
      .find((one) => one.getAttribute("aria-pressed") === "true")
      ?.focus();
  } else return;
  event.preventDefault();
}

const hasStep = (step) => data.outline.parts.some(([one]) => one === step);

function goToStep(step) {
  const part = data.outline.parts.findIndex(([one]) => one === step);
  const stretch = stretches().find(([first, last]) => first <= part && part <= last);
  goDown([stretch, part]);
  byId("steps").scrollIntoView({ block: "start" });
  buttonsOf(1)
    .find((one) => one.value_ === part)
    ?.focus({ preventScroll: true });
}
