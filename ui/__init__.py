"""The dashboard: Streamlit pages that gather input, call one service and render what it answers."""
