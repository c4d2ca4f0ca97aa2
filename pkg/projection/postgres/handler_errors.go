package postgres

import (
	"errors"
	"fmt"
)

// errNotYours: a handler tried to end the transaction that it was called in.
var errNotYours = errors.New("the transaction is not the handler's to end: the checkpoint is in it")

// errNoForget: a handler cannot tell what the tables have of one workflow.
var errNoForget = errors.New("the handler has no Forget: it cannot tell one workflow's rows from the others'")

// PanicError is a panic of a handler. The commit is set aside as if the handler
// had refused it: mend the handler, then heal the workflow.
type PanicError struct {
	Value any
	Stack []byte // of the goroutine, as debug.Stack gives it
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("the handler panicked: %v\n%s", e.Value, e.Stack)
}

// Unwrap is the value, if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
