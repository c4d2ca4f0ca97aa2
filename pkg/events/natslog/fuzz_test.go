package natslog

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/annals-io/annals/pkg/events"
)

// FuzzAck: an answer acknowledges, with a sequence, or is an error, and what the
// short way takes the long way takes for the same.
func FuzzAck(f *testing.F) {
	for _, s := range []string{
		`{"stream":"ANNALS_00","seq":42}`, `{"stream":"ANNALS_00", "seq": 42}`, `{"seq":42,"stream":"ANNALS_00","domain":"hub"}`,
		`{"stream":"ANNALS_00","seq":18446744073709551615}`, `{"stream":"ANNALS_00","seq":007}`, `{"stream":"ANNALS_00","seq":4}2}`, `{"stream":"ANNALS_01","seq":42}`,
		`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 7"},"stream":"ANNALS_00","seq":0}`,
		`{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}`, `null`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const stream = "ANNALS_00"
		seq, err := parseAck(data, stream)
		if (err == nil) != (seq != 0) {
			t.Fatalf("%q gave %d, %v", data, seq, err)
		}
		if err != nil {
			return
		}
		var ack struct {
			Stream string    `json:"stream"`
			Seq    uint64    `json:"seq"`
			Error  *apiError `json:"error"`
		}
		if err := json.Unmarshal(data, &ack); err != nil || ack.Error != nil || ack.Stream != stream || ack.Seq != seq {
			t.Errorf("%q was taken for %d: it is %+v, %v", data, seq, ack, err)
		}
	})
}

// FuzzStored: the answer to a request for a message is the message, which is the
// same when it is written and read again, that there is none, or an error. What
// it says about itself never makes it another partition's.
func FuzzStored(f *testing.F) {
	for _, s := range []string{
		`{"message":{"subject":"annals.235.default.order-42","seq":7,"hdrs":"TkFUUy8xLjANCkFubmFsczogMQ0KDQo=","data":"AAE=","time":"2026-11-27T18:00:00Z"}}`,
		`{"message":{"subject":"s","seq":1,"hdrs":"TkFUUy8xLjANCg==","time":"2026-11-27T18:00:00Z"}}`,
		`{"message":{"seq":18446744073709551615,"hdrs":"AAAA"}}`, `{"message":null}`, `{}`,
		`{"error":{"code":404,"err_code":10037,"description":"no message found"}}`, `{"error":{"code":400}}`, `{"error":null}`, `[]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseStored(3, data)
		if err != nil {
			if !cmp.Equal(m, events.Message{}) {
				t.Errorf("%q gave %+v beside %v", data, m, err)
			}
			return
		}
		if m.Position.Partition != 3 {
			t.Errorf("%q is of partition %d", data, m.Position.Partition)
		}
		if _, err := events.Decode(m); err != nil && !errors.Is(err, events.ErrCorrupt) {
			t.Errorf("%q: %v", data, err)
		}
		answer := map[string]any{"message": map[string]any{
			"subject": m.Subject, "seq": m.Position.Sequence, "data": m.Body, "time": m.Time, "hdrs": headerBytes(m.Header),
		}}
		written, err := json.Marshal(answer)
		if err != nil {
			return // a time that JSON does not have
		}
		again, err := parseStored(3, written)
		if err != nil || again.Position != m.Position || again.Subject != m.Subject || !again.Time.Equal(m.Time) || string(again.Body) != string(m.Body) {
			t.Errorf("%q is %+v, written and read again %+v, %v", data, m, again, err)
		}
	})
}

// headerBytes are headers as a server stores them.
func headerBytes(h events.Header) []byte {
	if len(h) == 0 {
		return nil
	}
	b := []byte("NATS/1.0\r\n")
	for name, values := range h {
		for _, v := range values {
			b = append(b, name+": "+v+"\r\n"...)
		}
	}
	return append(b, "\r\n"...)
}

// FuzzDirect: a message of a page of direct gets has the place that the server
// wrote last, whatever a publisher wrote before, and the header that is stored.
func FuzzDirect(f *testing.F) {
	f.Add([]byte("NATS/1.0\r\nNats-Sequence: 7\r\nNats-Time-Stamp: 2026-11-27T18:00:00Z\r\nNats-Subject: s\r\nNats-Last-Sequence: 0\r\n\r\n"), "8", "6")
	f.Add([]byte("NATS/1.0\r\nNats-Sequence: x\r\nNats-Last-Sequence: y\r\n\r\n"), "18446744073709551615", "0")
	f.Add([]byte("NATS/1.0 404 Message Not Found\r\n\r\n"), "", "")
	f.Fuzz(func(t *testing.T, header []byte, seq, before string) {
		h, err := nats.DecodeHeadersMsg(header)
		if err != nil {
			h = nats.Header{}
		}
		stored := maps.Clone(h)
		h[jetstream.SequenceHeader] = append(h[jetstream.SequenceHeader], seq)
		h[jetstream.TimeStampHeaer] = append(h[jetstream.TimeStampHeaer], time.Unix(0, 0).UTC().Format(time.RFC3339Nano))
		h["Nats-Last-Sequence"] = append(h["Nats-Last-Sequence"], before)
		msg := &nats.Msg{Header: h}
		last, wrong := strconv.ParseUint(before, 10, 64)
		if err := sentBefore(msg, last); (err == nil) != (wrong == nil) {
			t.Errorf("sequence %q of the message before: %v", before, err)
		}
		want, wrong := strconv.ParseUint(seq, 10, 64)
		m, err := directMessage(3, msg)
		if (err == nil) != (wrong == nil) || err == nil && m.Position != (events.Position{Partition: 3, Sequence: want}) {
			t.Errorf("sequence %q gave %s, %v", seq, m.Position, err)
		}
		for _, name := range []string{jetstream.SequenceHeader, jetstream.TimeStampHeaer, "Nats-Last-Sequence"} {
			if err == nil && !slices.Equal(m.Header[name], stored[name]) {
				t.Errorf("%s is %q, stored is %q", name, m.Header[name], stored[name])
			}
		}
	})
}

// FuzzMetadata: what a stream says of its log is refused as ErrWrongLog, or is
// written the same again.
func FuzzMetadata(f *testing.F) {
	m, err := events.EvenSlotMap(3)
	if err != nil {
		f.Fatal(err)
	}
	id := events.Identity{LogID: "log", Epoch: 1, Format: events.Format, Map: m}
	for _, epoch := range []string{"1", "4294967295", "4294967296", "-1", "0", "+1", "01", "", "x"} {
		f.Add("log", epoch, strconv.Itoa(events.Format), "1", "3", metadata(id, 1)[metaSlots])
	}
	f.Add("", "1", "2", "1", "3", "0-")
	f.Add("log", "1", strconv.Itoa(events.Format), "1", "3", "+0-0342")
	f.Fuzz(func(t *testing.T, logID, epoch, format, mapVersion, streams, slots string) {
		stated, err := parseMetadata("ANNALS_01", map[string]string{
			metaLogID: logID, metaEpoch: epoch, metaFormat: format, metaMapVersion: mapVersion, metaStreams: streams, metaSlots: slots,
		})
		if err != nil {
			if !errors.Is(err, events.ErrWrongLog) {
				t.Errorf("error is %v", err)
			}
			return
		}
		n, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil || n != int64(stated.epoch) || n < 1 {
			t.Errorf("epoch %q is %d", epoch, stated.epoch)
		}
		if s, err := strconv.Atoi(streams); err != nil || s != stated.streams || logID != stated.logID {
			t.Errorf("%q streams of %q are %+v", streams, logID, stated)
		}
	})
}
