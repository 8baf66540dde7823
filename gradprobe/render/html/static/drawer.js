// The source of whatever was clicked: beside the page where there is room, below it where not. One
// place for boxes, findings, ops and records. Escape closes it, and the focus goes back.

let opener = null;

function openDrawer(title, ...inside) {
  const drawer = byId("drawer");
  if (!drawer.contains(document.activeElement)) opener = document.activeElement;
  const close = button("\u00d7", closeDrawer, { class: "close", "aria-label": "Close the source" });
  const heading = make("h2", { tabindex: "-1" }, make("bdi", {}, title));
  drawer.replaceChildren(make("div", { class: "top" }, heading, close), ...inside.filter(Boolean));
  drawer.hidden = false;
  drawer.scrollTop = 0;
  document.body.classList.add("with-drawer");
  heading.focus({ preventScroll: true });
}

function closeDrawer() {
  const drawer = byId("drawer");
  if (drawer.hidden) return;
  const inside = drawer.contains(document.activeElement);
  drawer.hidden = true;
  document.body.classList.remove("with-drawer");
  if (inside && opener?.isConnected) opener.focus({ preventScroll: true });
  opener = null;
}

function facts(pairs) {
  const told = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return make(
    "dl",
    { class: "facts" },
    ...told.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))),
  );
}

function findingPart(number) {
  const finding = data.findings[number];
  if (!finding) return [];
  const link = make("a", { href: `#finding-${number + 1}` }, make("bdi", {}, finding.title));
  return [
    make("p", { class: "of-finding" }, make("strong", {}, link)),
    make("p", {}, finding.message),
    finding.cause !== null && finding.cause !== finding.at ? codeOf(frameOf(finding.cause)) : null,
    make("p", { class: "fix" }, make("strong", {}, "Fix"), " ", finding.fix),
  ];
}

// Of the op that did it.
const MADE = { zero: "becomes zero here", nonfinite: "becomes NaN or Inf here" };

function showBox(box, finding) {
  const steps =
    box.step === null ? "" : box.last === null ? `${box.step}` : `${box.step}\u2013${box.last}`;
  const into =
    box.step !== null &&
    hasStep(box.step) &&
    button(
      "Go to its ops",
      () => {
        closeDrawer();
        goToStep(box.step);
      },
      { class: "into" },
    );
  const at = frameOf(box.at);
  openDrawer(
    box.label || box.kind,
    make("p", {}, stateTag(box.state, box.finding === null ? undefined : MADE[box.state])),
    box.detail && make("p", { class: "faint" }, make("bdi", {}, box.detail)),
    at && codeOf(at),
    facts([
      ["step", steps],
      ["gradient norm", box.norm],
    ]),
    into,
    ...(finding === null ? [] : findingPart(finding)),
  );
}

function showFinding(number) {
  const finding = data.findings[number];
  const at = frameOf(finding.at);
  openDrawer(finding.title, at && codeOf(at), ...findingPart(number).slice(1));
}
