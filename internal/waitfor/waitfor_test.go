package waitfor_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/annals-io/annals/internal/waitfor"
	"github.com/annals-io/annals/pkg/events"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name  string
		texts []string
		want  string
		now   bool
	}{
		{"nothing", nil, "", false},
		{"empty text", []string{""}, "", false},
		{"a position", []string{"3:1042"}, "3:1042", false},
		{"several, in any order and with spaces", []string{" 3:1042 , 0:7,3:9"}, "0:7,3:1042", false},
		{"the end of the log", []string{"now"}, "", true},
		{"both", []string{"0:7", "now, 1:1"}, "0:7,1:1", true},
		{"what an append gave", []string{"0:7@log/2", "1:3@log/2,2:2"}, "0:7,1:3,2:2@log/2", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, now, err := waitfor.Parse(tt.texts...)
			if err != nil || v.String() != tt.want || now != tt.now {
				t.Errorf("gave %s, now %t, %v", v, now, err)
			}
		})
	}
	if _, _, err := waitfor.Parse("0:1@log/1", "0:1@log/2"); !errors.Is(err, events.ErrWrongLog) {
		t.Errorf("of two epochs: %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"soon", "1", "0:1,", ",", "NOW", "-1:1", "0:9223372036854775808", "1024:1", "0:1@log", strings.Repeat("é", 100)} {
		_, _, err := waitfor.Parse(text)
		var invalid *events.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "waitFor" || !strings.Contains(err.Error(), "want now, a position like 3:1042, or") || len(err.Error()) > 200 {
			t.Errorf("%q gave %v", text, err)
		}
	}
}

// FuzzParse: what is read is written and read again as the same; the rest is
// refused by the field's name.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "now", "0:1", "1:7, now,0:9223372036854775807", ":", "0:", "-1:1", "2:1@log/1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, now, err := waitfor.Parse(text)
		if err != nil {
			var invalid *events.InvalidError
			if !errors.Is(err, events.ErrWrongLog) && (!errors.As(err, &invalid) || invalid.Field != "waitFor") {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		again := []string{v.String()}
		if now {
			again = append(again, waitfor.Now)
		}
		if w, nowAgain, err := waitfor.Parse(again...); err != nil || nowAgain != now || !w.Equal(v) {
			t.Fatalf("%q is %s, written and read again %s, %v", text, v, w, err)
		}
	})
}
