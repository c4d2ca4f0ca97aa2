package temporal

import (
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/api/serviceerror"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What a call can end with. Each comes inside an *Error, which has the server's own words.
var (
	// ErrConfig: no server can be reached as the Config says. Correct it.
	ErrConfig = errors.New("cannot connect like this")
	// ErrAway: the server did not answer, as long as Patience lasted. Look whether
	// it is there; later it may be.
	ErrAway = errors.New("the server does not answer")
	// ErrBusy: the server answered, as long as Patience lasted, that it is asked too
	// much. Ask less, or let it allow more.
	ErrBusy = errors.New("the server is asked too much")
	// ErrDenied: the server does not let this caller in, or not there. Only other
	// credentials, or other rights, help.
	ErrDenied = errors.New("the server denies it")
	// ErrNamespace: the server has no such namespace.
	ErrNamespace = errors.New("the server has no such namespace")
	// ErrQuery: the server does not take the list filter. Correct it.
	ErrQuery = errors.New("the server does not take the query")
	// ErrGone: the server has no such run: it was deleted, or is past its
	// retention, or never was there.
	ErrGone = errors.New("the server does not have the run")
	// ErrToken: what was to be gone on with is not valid any more. Begin with the
	// first page.
	ErrToken = errors.New("the page's token is not valid any more")
	// ErrRefused: the server answers the call with an error that stays. Its words
	// say which.
	ErrRefused = errors.New("the server refuses")
)

// MayAnswerLater reports whether the server may answer the same call when it is asked
// again.
func MayAnswerLater(err error) bool { return errors.Is(err, ErrAway) || errors.Is(err, ErrBusy) }

// errLate: there was no answer in the time that the caller had for it.
var errLate = errors.New("no answer yet")

// Error is a call that failed.
type Error struct {
	Kind    error  // one of the above
	Call    string // what was asked; empty: nothing was
	Setting string // of ErrConfig: the field of Config
	Message string // in the server's words, or the client's where it did not answer
	// Untrusted, of ErrAway: the server showed a certificate that is not trusted,
	// or has another name.
	Untrusted bool
	cause     error
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%v: %s", e.Kind, e.Message)
	if e.Call != "" {
		text = e.Call + ": " + text
	}
	return text
}

// Unwrap gives the kind, and what the client said.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.cause} }

// about is what a call asks about: it decides what an answer means.
type about int

const (
	aboutRuns  about = iota // a list
	aboutPage               // a further page, of either
	aboutRun                // a history
	aboutEvent              // a history's events that are to come
)

// failedToVerify is in the text of a tls.CertificateVerificationError. The client gives
// nothing but the text.
const failedToVerify = "failed to verify certificate"

// exceedsReads reports whether a server has read its tables as often as it allows
// itself: it gives that with one code or another, and always with this text.
func exceedsReads(s *status.Status) bool {
	return strings.Contains(s.Message(), "Persistence Max QPS Reached")
}

// explain says what an error means.
func explain(call string, a about, err error) *Error {
	s, _ := status.FromError(err)
	e := &Error{Kind: ErrRefused, Call: call, Message: s.Message(), cause: err}
	var unknown *serviceerror.NamespaceNotFound
	if errors.As(serviceerror.FromStatus(s), &unknown) {
		e.Kind = ErrNamespace
		return e
	}
	switch s.Code() {
	case codes.ResourceExhausted:
		e.Kind = ErrBusy
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Aborted, codes.Internal, codes.Unknown:
		e.Kind = ErrAway
		e.Untrusted = strings.Contains(e.Message, failedToVerify)
		if s.Code() == codes.DeadlineExceeded {
			e.Message = "no answer in time"
		}
		if exceedsReads(s) {
			e.Kind = ErrBusy
		}
	case codes.PermissionDenied, codes.Unauthenticated:
		e.Kind = ErrDenied
	case codes.NotFound:
		if a != aboutRuns {
			e.Kind = ErrGone
		}
	case codes.InvalidArgument:
		switch a {
		case aboutRuns:
			e.Kind = ErrQuery
		case aboutPage, aboutEvent:
			e.Kind = ErrToken
		case aboutRun:
		}
	}
	return e
}
