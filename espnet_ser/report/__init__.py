"""What people look at: RESULTS.md, figures, and a page that opens from disk."""
