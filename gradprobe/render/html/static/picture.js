// The picture: its levels, the buttons above it, and its boxes, which answer to clicks and keys.

const WORST = ["cut", "nonfinite", "zero", "partial"];
const picture = { levels: [], shown: -1 };

function setUpPicture() {
  const section = byId("picture");
  const frames = [...section.querySelectorAll(".drawing")];
  picture.levels = frames.map((frame, number) => level(frame, number));
  const switches = frames.map((frame, number) =>
    button(frame.dataset.title, () => showLevel(number), { "aria-pressed": "false" }),
  );
  const zooms = [
    button("\u2212", () => current()?.view?.zoom(0.8), { "aria-label": "Zoom out" }),
    button("Fit", () => current()?.view?.fit()),
    button("+", () => current()?.view?.zoom(1.25), { "aria-label": "Zoom in" }),
  ];
  picture.switches = switches;
  const parts = [
    switches.length > 1 &&
      make("div", { class: "group", role: "group", "aria-label": "Level of detail" }, ...switches),
    searchBox(),
    make("div", { class: "group", role: "group", "aria-label": "Zoom" }, ...zooms),
  ];
  section.querySelector("h2").after(make("div", { class: "tools" }, ...parts.filter(Boolean)));
  section.append(
    make(
      "p",
      { class: "faint hint" },
      "Drag to move, Ctrl and the wheel or two fingers to zoom. From the keyboard: arrow keys go " +
        "from box to box, Enter shows the source, + \u2212 0 zoom, / searches.",
    ),
  );
  showLevel(frames.length - 1);
  let width = 0;
  new ResizeObserver(() => {
    if (Math.abs(section.clientWidth - width) < 2) return;
    width = section.clientWidth;
    current()?.begin();
  }).observe(section);
}

const current = () => picture.levels[picture.shown];

function level(frame, number) {
  const svg = frame.querySelector("svg");
  const told = data.levels[number];
  const groups = svg ? [...svg.querySelectorAll("[data-box]")] : [];
  groups.sort((one, other) => one.dataset.box - other.dataset.box); // from leaf to root
  const one = { frame, told, groups, view: svg ? new Viewport(frame) : null };
  const boxOf = (group) => told.boxes[group.dataset.box];
  const worst =
    groups.find((group) => boxOf(group).finding !== null && WORST.includes(boxOf(group).state)) ??
    WORST.map((state) => groups.find((group) => boxOf(group).state === state)).find(Boolean);
  one.begin = () => one.view?.start(worst);
  if (!svg) return one;
  for (const group of groups) {
    const box = told.boxes[group.dataset.box];
    group.dataset.state = box.state;
    group.addEventListener("click", () => one.view.travelled > 6 || choose(group));
  }
  for (const [tail, head, , finding] of told.arrows) {
    const edge = svg.querySelector(`[data-tail="${tail}"][data-head="${head}"]`);
    if (!edge || !data.findings[finding]) continue;
    edge.classList.add("with-finding");
    edge.addEventListener("click", () => one.view.travelled > 6 || showFinding(finding));
  }
  (worst ?? groups[0])?.setAttribute("tabindex", "0"); // one stop for Tab, arrow keys from there
  frame.addEventListener("keydown", (event) => keyInPicture(event, one));
  frame.addEventListener("focusin", (event) => {
    const group = event.target.closest?.("[data-box]");
    if (group) stop(one, group);
  });
  return one;
}

// The box that Tab comes back to.
function stop(one, group) {
  for (const other of one.groups) other.setAttribute("tabindex", other === group ? "0" : "-1");
}

function choose(group) {
  const one = current();
  for (const other of one.groups) other.classList.toggle("chosen", other === group);
  stop(one, group);
  group.focus({ preventScroll: true });
  showBox(one.told.boxes[group.dataset.box], findingAt(one.told, Number(group.dataset.box)));
  one.view.clear(group, byId("drawer").getBoundingClientRect());
}

// The finding of a box, or of the arrow into it that is cut.
function findingAt(told, number) {
  const own = told.boxes[number].finding;
  const cut = told.arrows.find(([, head, state]) => head === number && state === "cut");
  return own ?? (told.boxes[number].state === "cut" && cut ? cut[3] : null);
}

function keyInPicture(event, one) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const act = {
    "+": () => one.view.zoom(1.25),
    "=": () => one.view.zoom(1.25),
    "-": () => one.view.zoom(0.8),
    0: () => one.view.fit(),
  }[event.key];
  const group = event.target.closest?.("[data-box]");
  if (act) act();
  else if (group && (event.key === "Enter" || event.key === " ")) choose(group);
  else if (group && arrows(event, one.groups, aim(event.key)))
    one.view.reveal(document.activeElement);
  else return;
  event.preventDefault();
}

const aim = (key) =>
  key === "ArrowUp" || key === "ArrowDown" ? ["ArrowUp", "ArrowDown"] : ["ArrowLeft", "ArrowRight"];

function showLevel(number) {
  if (number === picture.shown || number < 0) return;
  picture.shown = number;
  picture.levels.forEach((one, other) => {
    one.frame.hidden = other !== number;
  });
  picture.switches.forEach((one, other) =>
    one.setAttribute("aria-pressed", String(other === number)),
  );
  current().begin();
  search.again();
}

// The box or arrow of a finding, in the nearest level that shows it.
function showInPicture(finding) {
  for (let number = picture.levels.length - 1; number >= 0; number -= 1) {
    const { told, groups } = picture.levels[number];
    const arrow = told.arrows.find(([, , , of]) => of === finding);
    const place = told.boxes.findIndex((box) => box.finding === finding);
    const box = place >= 0 ? place : arrow ? arrow[1] : -1;
    const group = groups.find((one) => Number(one.dataset.box) === box);
    if (!group) continue;
    showLevel(number);
    byId("picture").scrollIntoView({ block: "start", behavior: "instant" });
    current().view.reveal(group);
    choose(group);
    return true;
  }
  return false;
}
