// Loads the page again if Streamlit's browser side breaks while it draws, which leaves the page empty.

const BROKEN = /Bad delta path index|Cannot set a node at a delta path/;
const PAUSE = 10_000; // Milliseconds: a page that breaks again at once is left as it is, instead of loaded for ever.
const MENDED = "adit mended at";

export default function () {
  if (window.aditMends) return;
  window.aditMends = true;
  addEventListener("error", ({ message }) => {
    const last = Number(sessionStorage.getItem(MENDED));
    if (!BROKEN.test(message) || Date.now() - last < PAUSE) return;
    sessionStorage.setItem(MENDED, Date.now());
    location.reload();
  });
}
