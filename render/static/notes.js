// Behaviour of the notes: tab panels.

coursePanels(document);
