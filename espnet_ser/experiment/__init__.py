"""Systems, and the trainings, folds and folders of a recipe."""
