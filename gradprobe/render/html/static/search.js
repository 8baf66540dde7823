// Searching the picture: boxes that hold the words are lit, the others step back, and Enter goes
// from one to the next. What is searched is all that a box says: its label, its source, its place.

const search = { found: [], at: -1, again: () => {} };

function searchBox() {
  const input = make("input", {
    type: "search",
    id: "search",
    placeholder: "Search the picture",
    "aria-label": "Search the picture",
    autocomplete: "off",
    spellcheck: "false",
  });
  const count = make("output", { class: "faint", for: "search" });
  const step = (by) => {
    if (!search.found.length) return;
    search.at = (search.at + by + search.found.length) % search.found.length;
    tell(count);
    mark();
  };
  const again = () => {
    find(input.value);
    tell(count, input.value);
    mark();
  };
  search.again = again;
  input.addEventListener("input", again);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.ctrlKey && search.found.length)
      choose(search.found[search.at]);
    else if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
    else if (event.key === "ArrowDown" && search.found.length) search.found[search.at].focus();
    else if (event.key === "Escape" && input.value) {
      input.value = "";
      again();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const next = button("\u203a", () => step(1), { "aria-label": "Next box found" });
  const before = button("\u2039", () => step(-1), { "aria-label": "Previous box found" });
  return make("div", { class: "search", role: "search" }, input, before, next, count);
}

function find(words) {
  const one = current();
  const wanted = words.trim().toLowerCase().split(/\s+/).filter(Boolean);
  search.found =
    wanted.length && one
      ? one.groups.filter((group) => {
          const text = textOf(one.told.boxes[group.dataset.box]);
          return wanted.every((word) => text.includes(word));
        })
      : [];
  search.at = search.found.length ? 0 : -1;
  one?.frame.classList.toggle("searched", wanted.length > 0);
}

function textOf(box) {
  const at = frameOf(box.at);
  const step = box.step === null ? "" : `step ${box.step}`;
  const place = at ? [placeOf(at), at.name, at.before, at.expression, at.after].join(" ") : "";
  const finding = data.findings[box.finding]?.title ?? "";
  return [box.label, box.detail, box.state, step, place, finding].join(" ").toLowerCase();
}

function mark() {
  const one = current();
  for (const group of one?.groups ?? []) {
    group.classList.toggle("found", search.found.includes(group));
    group.classList.toggle("at", group === search.found[search.at]);
  }
  if (search.at >= 0) one.view.reveal(search.found[search.at]);
}

function tell(count, words = "?") {
  const told = !words.trim()
    ? ""
    : search.found.length
      ? `${search.at + 1} of ${search.found.length}`
      : "none";
  count.textContent = told;
}
