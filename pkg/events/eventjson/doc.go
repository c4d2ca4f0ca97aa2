// Package eventjson reads and writes events as Temporal's JSON.
//
// # Reading
//
// [Decode] takes what people and tools have at hand: one
// temporal.api.history.v1.History, the same inside a "history" member as the
// history API answers it, a bare array of events, or one event after the
// other, usually one a line. Field names come in lowerCamel or snake_case,
// enums by long name (EVENT_TYPE_TIMER_FIRED), short name (TimerFired) or
// number, 64-bit integers as strings or numbers, payloads in full or in
// Temporal's shorthand ("input": [{"order": 7}]).
//
// By default nothing is lost in silence: a field or an enum name that this
// version of the API does not know is an error that names every such place,
// never only the first. With [Options.Lenient] they are dropped and their
// places reported instead. An enum number that is not known is kept either
// way: an event of a type that is newer than this program is stored, not
// refused.
//
// A place is written as a path from the history down, whatever form the input
// had: events[3].activityTaskScheduledEventAttributes.inptu is the misspelt
// "input" of the fourth event. Map keys and odd names are quoted:
// events[0].markerRecordedEventAttributes.details["data"].
//
// # Payload shorthand
//
// Where a payload stands, an object is a payload in full if it has a
// "metadata" object that either has an "encoding" or stands among known fields
// only; anything else is a plain value. The value's text is kept as it was
// written, less white space, so that long numbers keep their digits.
//
// # Writing
//
// [Encode] writes what `temporal workflow show --output json` prints, which
// the SDKs' replayers read; [EncodeEvent] writes one event as one line.
// Payloads are always written in full. Decoding what was encoded gives equal
// events; fields that this version of the API does not know exist only in the
// binary form and are not written.
//
// All functions are safe for concurrent use.
package eventjson
