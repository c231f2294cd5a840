// Called by Streamlit whenever the data change.

const SMALLEST = 3; // Pixels of the image: less is a click that slipped.

export default function ({ parentElement, data, setTriggerValue }) {
  const stage = parentElement.querySelector(".stage");
  const picture = parentElement.querySelector(".picture");
  const marks = parentElement.querySelector(".marks");
  if (picture.src !== data.picture) picture.src = data.picture;
  picture.alt = data.description;
  marks.setAttribute("viewBox", `0 0 ${data.columns} ${data.rows}`);
  marks.replaceChildren(...data.regions.map((region) => mark(region, "")));

  let start = null;
  let drawn = null;
  const place = (event) => {
    const box = marks.getBoundingClientRect();
    return [
      within(((event.clientX - box.left) / box.width) * data.columns, data.columns),
      within(((event.clientY - box.top) / box.height) * data.rows, data.rows),
    ];
  };
  stage.onpointerdown = (event) => {
    if (event.button !== 0) return;
    stage.setPointerCapture(event.pointerId);
    start = place(event);
    drawn = marks.appendChild(mark([...start, 0, 0], "new"));
  };
  stage.onpointermove = (event) => {
    if (start) shape(drawn, between(start, place(event)));
  };
  stage.onpointerup = (event) => {
    if (!start) return;
    const region = between(start, place(event));
    start = null;
    if (region[2] < SMALLEST || region[3] < SMALLEST) return drawn.remove();
    setTriggerValue("drawn", region);
  };
  stage.onpointercancel = () => {
    start = null;
    drawn?.remove();
  };
}

function between([x1, y1], [x2, y2]) {
  const [left, top] = [Math.floor(Math.min(x1, x2)), Math.floor(Math.min(y1, y2))];
  return [left, top, Math.ceil(Math.max(x1, x2)) - left, Math.ceil(Math.max(y1, y2)) - top];
}

function within(value, end) {
  return Math.min(Math.max(value, 0), end);
}

function mark(region, kind) {
  const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  if (kind) rect.setAttribute("class", kind);
  return shape(rect, region);
}

function shape(rect, region) {
  ["x", "y", "width", "height"].forEach((name, at) => rect.setAttribute(name, region[at]));
  return rect;
}
