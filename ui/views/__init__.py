"""The pages, one file each.

The folder must not be called ``pages``, or Streamlit would serve its files by URL, past all checks.
"""
