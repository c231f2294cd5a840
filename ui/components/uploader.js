// Sends what is dropped or chosen in one request, read from disk by the browser while it is sent.
// Called by Streamlit whenever the data change; what is under way is kept beside the element.

const MOST_TOLD = 1000; // Refused files that the page is told of.
const underWay = new WeakMap();

export default function ({ parentElement, data, setTriggerValue }) {
  const find = (name) => parentElement.querySelector(name);
  const drop = find(".drop");
  const [folder, files] = [find(".folder-input"), find(".files-input")];
  const begin = (chosen) => send(parentElement, chosen, data, setTriggerValue);

  find("button.folder").onclick = () => folder.click();
  find("button.files").onclick = () => files.click();
  for (const input of [folder, files]) {
    input.onchange = () => {
      begin([...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name })));
      input.value = "";
    };
  }
  drop.ondragover = (event) => {
    event.preventDefault();
    drop.classList.add("over");
  };
  drop.ondragleave = (event) => {
    if (!drop.contains(event.relatedTarget)) drop.classList.remove("over");
  };
  drop.ondrop = async (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    // Before anything is awaited: the list is emptied when this function returns to the browser.
    const dropped = [...event.dataTransfer.items].filter((item) => item.kind === "file").map(entryOrFile);
    if (underWay.has(parentElement)) return;
    try {
      begin((await Promise.all(dropped.map(filesBelow))).flat());
    } catch {
      complain(parentElement, "What was dropped cannot be read. Choose it by the button instead.");
    }
  };
  find("button.cancel").onclick = () => underWay.get(parentElement)?.abort();
  return () => underWay.get(parentElement)?.abort();
}

// What does not lie on a disk, such as an attachment of a mail, has no entry.
function entryOrFile(item) {
  return item.webkitGetAsEntry() ?? item.getAsFile();
}

async function filesBelow(entry) {
  if (entry instanceof File) return [{ file: entry, name: entry.name }];
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ file, name: entry.fullPath.replace(/^\//, "") }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    // A reader hands out its entries in parts.
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) return found;
    for (const child of part) found.push(...(await filesBelow(child)));
  }
}

function send(place, chosen, data, setTriggerValue) {
  if (underWay.has(place)) return;
  const bytes = chosen.reduce((sum, { file }) => sum + file.size, 0);
  const refusal = whyNot(chosen, bytes, data);
  complain(place, refusal);
  if (refusal) return;
  const form = new FormData();
  for (const { file, name } of chosen) form.append("files", file, name);
  const request = new XMLHttpRequest();
  const report = reporter(place, chosen.length, bytes);
  const end = (problem) => {
    underWay.delete(place);
    window.removeEventListener("beforeunload", warn);
    show(place, false);
    complain(place, problem);
  };
  request.upload.onprogress = (event) => report(event.loaded / (event.total || 1));
  request.onload = () => {
    const answer = read(request.responseText);
    if (request.status !== 201 || !answer) return end(told(request.status, answer));
    end("");
    setTriggerValue("uploaded", {
      id: answer.id,
      refused: answer.refused.slice(0, MOST_TOLD),
      problems: answer.problems,
    });
  };
  request.onerror = () =>
    end("The upload broke off: the connection was lost, or a file could not be read. Nothing was kept; try again.");
  request.onabort = () => end("The upload was canceled. Nothing was kept.");
  request.open("POST", data.path);
  request.setRequestHeader(data.csrfHeader, data.csrfToken);
  request.setRequestHeader("Accept", "application/json");
  underWay.set(place, request);
  window.addEventListener("beforeunload", warn);
  show(place, true);
  report(0);
  request.send(form);
}

function whyNot(chosen, bytes, { mostFiles, mostBytes }) {
  if (chosen.length === 0) return "There is no file in it. Choose a folder that holds DICOM files.";
  if (chosen.length > mostFiles)
    return `These are ${count(chosen.length)} files; at most ${count(mostFiles)} can be uploaded at once. Upload them in parts.`;
  if (bytes > mostBytes)
    return `These are ${size(bytes)}; at most ${size(mostBytes)} can be uploaded at once. Upload them in parts.`;
  return "";
}

function told(status, answer) {
  if (status === 401) return "Your session has ended. Sign in again, then upload once more.";
  return answer?.detail ?? `The server answered with ${status}. Nothing was kept; try again, or tell your administrators.`;
}

function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function reporter(place, files, bytes) {
  const began = performance.now();
  const [doing, bar, numbers] = [".doing", "progress", ".numbers"].map((name) => place.querySelector(name));
  let spoken = "";
  return (share) => {
    const isSent = share >= 1;
    const words = isSent ? "Looking at what arrived …" : `Uploading ${count(files)} ${files === 1 ? "file" : "files"} …`;
    doing.textContent = words;
    if (isSent) bar.removeAttribute("value");
    else bar.value = share;
    const seconds = (performance.now() - began) / 1000;
    const pace = seconds > 1 && !isSent ? ` · ${size((bytes * share) / seconds)}/s` : "";
    numbers.textContent = `${size(bytes * share)} of ${size(bytes)}${pace}`;
    if (words !== spoken) place.querySelector(".spoken").textContent = spoken = words;
  };
}

function show(place, isSending) {
  place.querySelector(".sending").hidden = !isSending;
  place.querySelector(".choose").hidden = isSending;
}

function complain(place, problem) {
  const line = place.querySelector(".problem");
  line.textContent = problem;
  line.hidden = !problem;
}

function warn(event) {
  event.preventDefault();
}

function count(number) {
  return number.toLocaleString("en-US");
}

function size(bytes) {
  for (const unit of ["bytes", "kB", "MB", "GB"]) {
    if (bytes < 1000) return `${unit === "bytes" || unit === "kB" ? Math.round(bytes) : bytes.toFixed(1)} ${unit}`;
    bytes /= 1000;
  }
  return `${bytes.toFixed(1)} TB`;
}
