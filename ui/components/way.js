// Goes to another page of the dashboard as the browser's buttons for back and forward do, which Streamlit listens to.

export default function ({ data }) {
  if (location.pathname + location.search === data.address) return;
  history.pushState({}, "", data.address);
  dispatchEvent(new PopStateEvent("popstate", { state: {} }));
}
