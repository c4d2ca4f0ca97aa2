package execution

// FoldVersion is the version of the fold: it is raised with every change of the code
// by which the same events give another state, or the same state another encoding. A
// state that was kept by another version is folded anew. A test holds it against the
// states of known histories.
const FoldVersion = 1
