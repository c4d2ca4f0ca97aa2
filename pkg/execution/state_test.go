package execution

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCloneSharesNothingThatChanges walks a state and its clone side by side:
// no list, map or pending entity may be in both.
func TestCloneSharesNothingThatChanges(t *testing.T) {
	s := full()
	c := s.Clone()
	if diff := cmp.Diff(s, c, same); diff != "" {
		t.Fatalf("the clone differs:\n%s", diff)
	}
	shared(t, "State", reflect.ValueOf(s).Elem(), reflect.ValueOf(c).Elem())
}

func shared(t *testing.T, path string, a, b reflect.Value) {
	switch a.Kind() {
	case reflect.Struct:
		if a.Type().PkgPath() != reflect.TypeFor[State]().PkgPath() {
			return
		}
		for i := range a.NumField() {
			shared(t, path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
	case reflect.Map:
		if a.Pointer() == b.Pointer() {
			t.Errorf("%s is shared", path)
		}
	case reflect.Slice:
		if a.Pointer() == b.Pointer() {
			t.Errorf("%s is shared", path)
		}
		for i := range a.Len() {
			shared(t, path+"[]", a.Index(i), b.Index(i))
		}
	case reflect.Pointer:
		switch a.Interface().(type) {
		case *Close, *CancelRequest, *Reset, *Pause, *Parent, *Execution:
			return // replaced as a whole, never changed
		}
		if a.Type().Elem().PkgPath() != reflect.TypeFor[State]().PkgPath() {
			return // an event's
		}
		if a.Pointer() == b.Pointer() {
			t.Errorf("%s is shared", path)
		}
		shared(t, path, a.Elem(), b.Elem())
	}
}

func TestOpenAndCloseTime(t *testing.T) {
	s := New(testWF, testRun)
	if s.IsOpen() || !s.CloseTime().IsZero() {
		t.Error("a run that has not begun is open or closed")
	}
	for _, e := range order()[:14] {
		s.Apply(e)
	}
	if !s.IsOpen() || !s.CloseTime().IsZero() {
		t.Error("a running run is not open")
	}
	s.Apply(order()[14])
	if s.IsOpen() || s.CloseTime() != at(15) {
		t.Errorf("open %v, closed at %v, want %v", s.IsOpen(), s.CloseTime(), at(15))
	}
}
