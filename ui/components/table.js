// Called by Streamlit whenever the data change. The elements stay, so rows that did not change are kept.

const LONG = 24; // What has more characters may be broken anywhere; a date or a PatientID may not.
const STEADY = 8; // Pixels that the mouse may move between pressing and letting go.

export default function ({ parentElement, data, setTriggerValue, setStateValue }) {
  const place = parentElement.querySelector(".scroll");
  // What is selected is known here first; the server is told, and tells it only to a new table.
  place.selected ??= new Set(data.selected ?? []);
  place.grid = data;
  place.classList.toggle("selectable", data.rows.some((row) => row.selectable));
  place.style.maxHeight = data.most_height;
  renewSorted(place);
  keepInReach(place);
  place.onchange = (event) => {
    const box = event.target.closest("input[data-select]");
    if (!box) return;
    select(place.selected, box.dataset.select, box.checked);
    showSelection(place);
    setStateValue("selected", [...place.selected]);
  };
  place.onpointerdown = (event) => {
    place.pressed = { link: linkAt(event), x: event.clientX, y: event.clientY };
  };
  place.onclick = (event) => {
    const title = event.target.closest("button[data-column]");
    if (title) return sortBy(place, Number(title.dataset.column));
    const link = linkClicked(event, place.pressed);
    const asksForTab = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
    if (!link || asksForTab) return;
    event.preventDefault();
    if (link.pathname === location.pathname) setTriggerValue("picked", link.dataset.row);
    else leaveFor(link.href);
  };
}

// As the browser's buttons for back and forward do, which Streamlit listens to.
function leaveFor(address) {
  history.pushState({}, "", address);
  dispatchEvent(new PopStateEvent("popstate", { state: {} }));
}

// What was pressed is meant, though something else may have come to its place before the button was let go.
function linkClicked(event, pressed) {
  const isByKey = event.detail === 0;
  if (isByKey || !pressed) return linkAt(event);
  const way = Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y);
  return way < STEADY ? pressed.link : null;
}

function linkAt(event) {
  return event.target.closest("a[data-row]");
}

// What is scrolled has to be reached without a mouse, too.
function keepInReach(place) {
  place.watcher ??= new ResizeObserver(() => {
    const scrolls = place.scrollHeight > place.clientHeight || place.scrollWidth > place.clientWidth;
    if (scrolls) Object.assign(place, { tabIndex: 0, role: "group", ariaLabel: place.grid.caption });
    else for (const name of ["tabindex", "role", "aria-label"]) place.removeAttribute(name);
  });
  place.watcher.observe(place);
  place.watcher.observe(place.querySelector(":scope > table"));
}

function renewGrid(place, grid) {
  const table = place.querySelector(":scope > table") ?? place.appendChild(emptyTable());
  table.setAttribute("aria-label", grid.caption);
  const hasBoxes = grid.rows.some((row) => row.selectable);
  const head = {
    key: "head",
    state: JSON.stringify([grid.columns, hasBoxes]),
    build: () => headRow(grid.columns, hasBoxes),
    adapt: (row, build) => row.replaceChildren(...build().cells),
  };
  renew(table.tHead, [head]);
  renew(table.tBodies[0], grid.rows.flatMap((row) => bodyRows(row, grid.columns)));
}

// Makes the children of `parent` what is wanted. Those that are there already are moved and adapted rather than
// replaced, so that a click that has begun on one of them arrives.
function renew(parent, wanted) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  wanted.forEach(({ key, state, build, adapt = adaptRow }, index) => {
    const present = known.get(key);
    known.delete(key);
    const renewed = present ?? build();
    if (present && present.dataset.state !== state) adapt(present, build);
    Object.assign(renewed.dataset, { key, state });
    if (parent.children[index] !== renewed) parent.insertBefore(renewed, parent.children[index] ?? null);
  });
  for (const gone of known.values()) gone.remove();
}

function adaptRow(row, build) {
  const renewed = build();
  row.className = renewed.className;
  if (row.cells.length !== renewed.cells.length) return row.replaceChildren(...renewed.cells);
  const cells = [...row.cells];
  [...renewed.cells].forEach((cell, index) => adaptCell(cells[index], [...cell.children]));
}

function adaptCell(cell, wanted) {
  wanted.forEach((child, index) => {
    const present = cell.children[index];
    if (!present) cell.append(child);
    else if (!present.isEqualNode(child)) present.replaceWith(child);
  });
  while (cell.children.length > wanted.length) cell.lastElementChild.remove();
}

// A row in details has a key that begins with that of the row above it, and a slash.
function select(selected, key, isSelected) {
  if (isSelected) selected.add(key);
  else selected.delete(key);
  for (const other of [...selected]) if (other.startsWith(`${key}/`)) selected.delete(other);
}

function showSelection(place) {
  for (const box of place.querySelectorAll("input[data-select]")) {
    const key = box.dataset.select;
    const above = key.includes("/") && place.selected.has(key.split("/")[0]);
    box.checked = above || place.selected.has(key);
    box.disabled = above;
    box.indeterminate = !box.checked && [...place.selected].some((other) => other.startsWith(`${key}/`));
  }
}

function sortBy(place, column) {
  const isSame = place.sorting?.column === column;
  place.sorting = { column, direction: isSame ? -place.sorting.direction : 1 };
  renewSorted(place);
}

function renewSorted(place) {
  const { rows, columns } = place.grid;
  const { column, direction } = place.sorting ?? {};
  const sorted = column === undefined ? rows : [...rows].sort(
    (one, other) => direction * compared(one.cells[column], other.cells[column], columns[column])
  );
  renewGrid(place, { ...place.grid, rows: sorted });
  if (column !== undefined) {
    const title = place.querySelector(`th:has(> button[data-column="${column}"])`);
    for (const other of place.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
    title?.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
  }
  showSelection(place);
}

function compared(one, other, column) {
  if (column.numeric) return Number(one.value.replaceAll(",", "")) - Number(other.value.replaceAll(",", ""));
  return one.value.localeCompare(other.value, undefined, { numeric: true });
}

function emptyTable() {
  const table = element("table");
  table.append(element("thead"), element("tbody"));
  return table;
}

function headRow(columns, hasBoxes) {
  const row = element("tr");
  if (hasBoxes) row.append(element("td", { className: "box" }));
  columns.forEach((column, index) => {
    const cell = element("th", { scope: "col", className: sideOf(column) });
    if (column.width) cell.style.width = column.width;
    cell.append(column.sortable ? sortButton(column, index) : column.title);
    row.append(cell);
  });
  return row;
}

function sortButton(column, index) {
  const button = element("button", { type: "button", textContent: column.title, title: "Sort by this" });
  button.dataset.column = index;
  return button;
}

function bodyRows({ details, ...row }, columns) {
  const isOpen = details !== null;
  const own = {
    key: row.key,
    state: JSON.stringify([row, columns, isOpen]),
    build: () => bodyRow(row, columns, isOpen),
  };
  if (!isOpen) return [own];
  const below = {
    key: `${row.key}/`,
    state: JSON.stringify(details),
    build: () => detailsRow(details, columns.length + (row.selectable ? 1 : 0)),
    adapt: (line) => renewGrid(line.cells[0], details),
  };
  return [own, below];
}

function bodyRow(row, columns, isOpen) {
  const line = element("tr", { className: isOpen ? "open" : "" });
  if (row.selectable) line.append(boxOf(row));
  row.cells.forEach((cell, index) => {
    const place = element("td", { className: sideOf(columns[index]) });
    place.append(...CONTENTS[cell.kind](cell, row, isOpen));
    line.append(place);
  });
  return line;
}

function boxOf(row) {
  const place = element("td", { className: "box" });
  const box = element("input", { type: "checkbox", ariaLabel: row.selectable });
  box.dataset.select = row.key;
  place.append(box);
  return place;
}

function detailsRow(details, width) {
  const line = element("tr", { className: "details" });
  const place = element("td", { colSpan: width });
  renewGrid(place, details);
  line.append(place);
  return line;
}

const CONTENTS = {
  text: (cell) => [words("span", cell), ...notes(cell)],
  link: (cell, row, isOpen) => {
    const link = words("a", cell);
    link.href = cell.href;
    link.dataset.row = row.key;
    if (isOpen) link.setAttribute("aria-expanded", "true");
    return [link, ...notes(cell)];
  },
  badge: (cell) => [element("span", { className: `badge ${cell.tone}`, textContent: cell.value })],
  bar: (cell) => {
    const track = element("span", { className: `track ${cell.tone}` });
    const fill = element("span", { className: "fill" });
    fill.style.width = `${100 * cell.share}%`;
    track.append(fill);
    return [element("span", { textContent: cell.value }), track];
  },
};

function words(tag, cell) {
  const classes = ["value", ...(cell.code ? ["code"] : []), ...(cell.value.length > LONG ? ["long"] : [])];
  return element(tag, { className: classes.join(" "), textContent: cell.value });
}

function notes(cell) {
  return cell.notes.map((note) => element("span", { className: "note", textContent: note }));
}

function sideOf(column) {
  return column.numeric ? "numeric" : "";
}

function element(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}
