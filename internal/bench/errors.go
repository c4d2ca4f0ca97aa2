package bench

import "errors"

var (
	// ErrNoCase: the filter leaves no case. Choose another one.
	ErrNoCase = errors.New("no such case")
	// ErrLogThere: the server that was given holds a log, which a benchmark
	// would write to. Give it a server, or an account, without one.
	ErrLogThere = errors.New("the server holds a log already")
)
