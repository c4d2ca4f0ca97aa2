package execution

import failurepb "go.temporal.io/api/failure/v1"

// maxCauses bounds how far a chain of causes is followed.
const maxCauses = 100

// FailureMessages are the messages of a failure and of its chain of causes,
// outermost first, at most 100. A failure that a codec encoded has the codec's
// message ("Encoded failure").
func FailureMessages(f *failurepb.Failure) []string {
	var messages []string
	for ; f != nil && len(messages) < maxCauses; f = f.Cause {
		messages = append(messages, f.Message)
	}
	return messages
}
