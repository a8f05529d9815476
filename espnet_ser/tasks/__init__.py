"""The ESPnet task: options, and what they build."""
