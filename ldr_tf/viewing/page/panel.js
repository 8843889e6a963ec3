/* The panel: buttons, keys, legends, what was said, tables. Texts of the data never become HTML. */

const VIEWS = [[3, "Planes"], [0, "Axial"], [1, "Coronal"], [2, "Sagittal"], [4, "3D"]];
const IMAGE_KEYS = { fixed: "", warped: "", moving: "m", blend: "b", difference: "d" };
const OVERLAYS = [
  ["outlines", "o", "Label outlines"], ["grid", "g", "Deformation grid"], ["jacobian", "j", "Jacobian"],
  ["folds", "x", "Folds"], ["landmarks", "l", "Landmarks"],
];
const HELP = [
  ["F", "flip between fixed and warped"], ["M B D", "moving scan, blend, difference"],
  ["← →", "blend towards fixed or warped"], ["↑ ↓", "scroll the plane under the mouse"],
  ["1 to 5", "planes, one of them, 3D"], ["O G J X L", "overlays"],
  ["wheel", "scroll; in 3D zoom"], ["click, drag", "go there; in 3D turn"],
  ["right drag", "contrast from a box"],
];

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function make(kind, properties = {}, ...children) {
  const element = Object.assign(document.createElement(kind), properties);
  element.append(...children);
  return element;
}

const scene = new Scene(data, byId("scene"), byId("lines"), () => tellPlace());
let hovered = 0;

function tellPlace() {
  if (!scene.gray) return;
  const mm = scene.nv.frac2mm(scene.nv.scene.crosshairPos);
  const letters = [["L", "R"], ["P", "A"], ["I", "S"]];
  const place = letters.map(([low, high], k) => `${mm[k] < 0 ? low : high} ${Math.abs(mm[k]).toFixed(1)}`).join("  ");
  const found = scene.values();
  const gray = ["fixed", "warped", "moving"].map((name) => `${name} ${Number(found[name].toPrecision(3))}`);
  const more = [`volume ${found.volume}`];
  if (found.fixedLabel !== undefined || found.warpedLabel !== undefined) {
    more.push(`labels ${found.fixedLabel ?? "-"} | ${found.warpedLabel ?? "-"}`);
  }
  byId("where").textContent = [`${place} mm`, ...gray, ...more].join("   ·   ");
  byId("what").textContent = captionOf(scene.image);
}

function captionOf(image) {
  const percent = Math.round(100 * scene.blend);
  return {
    fixed: "fixed scan", warped: "moving scan, warped",
    moving: data.aligned ? "moving scan, after the affine step" : "moving scan, as it lay",
    blend: `${100 - percent} % fixed, ${percent} % warped`, difference: "|fixed − warped|",
  }[image];
}

/* Shows which buttons and boxes hold. */
function refresh() {
  for (const button of document.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed", String(Number(button.dataset.view) === scene.view));
  for (const button of document.querySelectorAll("[data-image]")) button.setAttribute("aria-pressed", String(button.dataset.image === scene.image));
  for (const box of document.querySelectorAll("[data-overlay]")) box.checked = scene.shown[box.dataset.overlay];
  byId("blend").value = Math.round(100 * scene.blend);
  tellPlace();
}

function act(deed) { deed(); refresh(); }

function buildChoices() {
  VIEWS.forEach(([number, name]) => {
    const button = make("button", { textContent: name, onclick: () => act(() => scene.showView(number)) });
    button.dataset.view = number;
    byId("views").append(button);
  });
  for (const name of IMAGES) {
    const key = name === "fixed" || name === "warped" ? "f" : IMAGE_KEYS[name];
    const button = make("button", { title: `key ${key.toUpperCase()}`, onclick: () => act(() => scene.showImage(name)) },
      name[0].toUpperCase() + name.slice(1));
    button.dataset.image = name;
    byId("images").append(button);
  }
  byId("blend").oninput = (event) => {
    const share = Number(event.target.value) / 100;
    requestAnimationFrame(() => act(() => scene.showImage("blend", share)));
  };
}

function swatch(colour, words) {
  const mark = make("i", { className: "swatch" });
  mark.style.background = colour;
  return make("span", {}, mark, words);
}

function legendOf(name) {
  const sides = () => [swatch(COLOURS.fixed, "fixed"), swatch(COLOURS.warped, "warped")];
  if (name === "outlines") return data.labels.length ? sides() : null;
  if (name === "landmarks") return data.landmarks.length ? sides() : null;
  if (name === "grid") return [swatch(COLOURS.grid, "")];
  if (name === "jacobian") {
    const ramp = make("i", { className: "ramp" });
    const colours = [-1, -0.5, 0, 0.5, 1].map((doublings) => `rgb(${jacobianColour(doublings).join(", ")})`);
    ramp.style.background = `linear-gradient(90deg, ${colours.join(", ")})`;
    return [make("span", {}, "½"), ramp, make("span", {}, "2 ×")];
  }
  return scene.folded.length
    ? [swatch("#ff2d2d", ""), make("button", { textContent: "next", title: "Go to the next fold", onclick: () => act(() => scene.nextFold()) })]
    : null;
}

function buildOverlays() {
  for (const [name, key, words] of OVERLAYS) {
    const legend = legendOf(name);
    const box = make("input", { type: "checkbox", disabled: !legend, onchange: () => act(() => scene.toggle(name, box.checked)) });
    box.dataset.overlay = name;
    const label = make("label", { className: legend ? "" : "absent" }, box, words, " ", make("kbd", { textContent: key.toUpperCase() }));
    const side = make("span", { className: "legend" }, ...(legend ?? [make("span", {}, "none")]));
    byId("overlays").append(make("li", {}, label, side));
  }
}

function buildNotices() {
  const more = data.landmarks_left_out;
  const remarks = more ? [...data.remarks, `${more} more landmarks are not shown.`] : data.remarks;
  for (const { level, text } of data.notices.filter((n) => n.level === "warning")) {
    byId("notices").append(make("li", { className: level }, make("b", {}, "Warning: "), text));
  }
  for (const text of remarks) byId("notices").append(make("li", {}, text));
  for (const { text } of data.notices.filter((n) => n.level !== "warning")) byId("notices").append(make("li", {}, text));
}

function buildTables() {
  const places = new Map(data.landmarks.map((mark) => [mark.name, mark.fixed]));
  for (const table of data.tables) {
    const landmarks = table.title.startsWith("Landmarks");
    const rows = table.rows.map((cells) => make("tr", {}, ...cells.map((cell, k) => {
      const place = landmarks && k === 0 ? places.get(cell) : null;
      return make("td", {}, place ? make("button", { textContent: cell, title: "Go there", onclick: () => act(() => scene.goTo(place)) }) : cell);
    })));
    const head = table.head.length ? [make("thead", {}, make("tr", {}, ...table.head.map((word) => make("th", {}, word))))] : [];
    const whole = make("table", { className: table.head.length ? "" : "texts" }, ...head, make("tbody", {}, ...rows));
    byId("tables").append(make("details", { open: table.open }, make("summary", {}, table.title), whole));
  }
  for (const [key, deed] of HELP) byId("help").append(make("dt", {}, make("kbd", {}, key)), make("dd", {}, deed));
}

/* The plane that keys scroll: the one that is shown alone, else the one under the mouse. */
function planeInHand() { return scene.view <= 2 ? scene.view : hovered; }

function onKey(event) {
  /* NiiVue has keys of its own; ours are the ones that the page tells of. */
  if (event.target === byId("scene")) event.stopPropagation();
  if (event.type !== "keydown" || event.ctrlKey || event.metaKey || event.altKey || !scene.gray) return;
  const key = event.key.toLowerCase(), overlay = OVERLAYS.find(([, letter]) => letter === key);
  const image = Object.keys(IMAGE_KEYS).find((name) => IMAGE_KEYS[name] === key);
  const arrows = { arrowup: 1, arrowdown: -1, pageup: 10, pagedown: -10 }, blends = { arrowleft: -0.05, arrowright: 0.05 };
  const inPanel = byId("panel").contains(event.target);
  let deed = null;
  if (key === "f") deed = () => scene.showImage(scene.image === "fixed" ? "warped" : "fixed");
  else if (image) deed = () => scene.showImage(image);
  else if (overlay) deed = () => { if (legendOf(overlay[0])) scene.toggle(overlay[0]); };
  else if (key >= "1" && key <= "5" && key.length === 1) deed = () => scene.showView(VIEWS[Number(key) - 1][0]);
  else if (arrows[key] && !inPanel) deed = () => scene.scroll(planeInHand(), arrows[key]);
  else if (blends[key] && !inPanel) deed = () => scene.showImage("blend", Math.min(1, Math.max(0, scene.blend + blends[key])));
  if (!deed) return;
  event.preventDefault();
  act(deed);
}

function onHover(event) {
  const box = byId("scene").getBoundingClientRect(), pixel = scene.nv?.uiData.dpr || 1;
  const [x, y] = [(event.clientX - box.left) * pixel, (event.clientY - box.top) * pixel];
  for (const tile of scene.gray ? planeTiles(scene.nv, data.size) : []) {
    const [left, top, width, height] = tile.box;
    if (x >= left && x <= left + width && y >= top && y <= top + height) hovered = PLANES.indexOf(tile.axes);
  }
}

async function start() {
  byId("title").textContent = data.title;
  buildNotices();
  buildTables();
  try {
    await scene.load();
  } catch (error) {
    byId("loading").textContent = `The scans cannot be shown: ${error.message}. This page needs a browser with WebGL 2.`;
    document.documentElement.dataset.state = "failed";
    return;
  }
  buildChoices();
  buildOverlays();
  refresh();
  byId("loading").hidden = true;
  window.addEventListener("keydown", onKey, true);
  window.addEventListener("keyup", onKey, true);
  byId("scene").addEventListener("mousemove", onHover);
  byId("scene").focus();
  document.documentElement.dataset.state = "ready";
}

start();
