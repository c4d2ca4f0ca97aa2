package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds what a test waits for, on a machine that is busy.
const patience = 2 * time.Minute

// service is a running ingest that can be killed.
type service struct {
	t   testing.TB
	cmd *exec.Cmd
	url string

	reading sync.WaitGroup
	mu      sync.Mutex // guards log and ended
	log     bytes.Buffer
	ended   bool
	more    *sync.Cond // log or ended is another
}

// startIngest runs an ingest, by HTTP only, and returns when it takes appends.
func (e environment) startIngest() *service {
	e.t.Helper()
	s := e.launchIngest("--nats=false")
	s.said("the log is open")
	return s
}

// launchIngest runs an ingest and returns when it serves.
func (e environment) launchIngest(flags ...string) *service {
	e.t.Helper()
	s := &service{t: e.t, cmd: e.command(context.Background(), "ingest", append([]string{"--http", "127.0.0.1:0"}, flags...)...)}
	s.more = sync.NewCond(&s.mu)
	errs, err := s.cmd.StderrPipe()
	if err != nil {
		e.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	s.reading.Go(func() {
		for lines := bufio.NewScanner(errs); lines.Scan(); s.more.Broadcast() {
			s.mu.Lock()
			s.log.WriteString(lines.Text() + "\n")
			s.mu.Unlock()
		}
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
		s.more.Broadcast()
	})
	e.t.Cleanup(func() {
		s.kill()
		if e.t.Failed() {
			e.t.Logf("ingest at %s said:\n%s", s.url, s.log.String())
		}
	})
	s.url = s.said("serving").URL
	return s
}

// logLine is what tests want of a line of the log.
type logLine struct{ Msg, URL string }

// said waits for a line of its log and gives it.
func (s *service) said(msg string) logLine {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for text := range strings.Lines(s.log.String()) {
			var line logLine
			if json.Unmarshal([]byte(text), &line) == nil && line.Msg == msg {
				return line
			}
		}
		if s.ended {
			s.t.Fatalf("ingest ended without saying %q", msg)
		}
		s.more.Wait()
	}
}

// kill ends it by SIGKILL and returns when it is gone.
func (s *service) kill() {
	_ = s.cmd.Process.Kill()
	s.end()
}

// end waits for its end and gives the exit code.
func (s *service) end() int {
	s.reading.Wait()
	_ = s.cmd.Wait()
	return s.cmd.ProcessState.ExitCode()
}

// web is a client like any worker's: plain JSON by HTTP. Its connections are
// closed when the test ends.
func web(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 100, ExpectContinueTimeout: patience}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// reply is what the API answers, or why it does not.
type reply struct {
	status int
	body   []byte
	err    error // there was no answer
}

func post(c *http.Client, url, call string, body any) reply {
	text, err := json.Marshal(body)
	if err != nil {
		return reply{err: err}
	}
	got, err := c.Post(url+"/annals.v1."+call, "application/json", bytes.NewReader(text))
	if err != nil {
		return reply{err: err}
	}
	defer got.Body.Close()
	answer, err := io.ReadAll(got.Body)
	return reply{status: got.StatusCode, body: answer, err: err}
}

// object is a JSON object of a request.
type object = map[string]any

// unknownOutcome is what an answer carries that says how to settle an append.
func (r reply) unknownOutcome() (expectation string) {
	var e struct {
		Code    string
		Details []struct {
			Type  string
			Debug struct{ Expectation string }
		}
	}
	if r.status != http.StatusServiceUnavailable || json.Unmarshal(r.body, &e) != nil || e.Code != "unavailable" {
		return ""
	}
	for _, d := range e.Details {
		if d.Type == "annals.v1.OutcomeUnknown" {
			return d.Debug.Expectation
		}
	}
	return ""
}

// Asked to end, ingest takes nothing new, finishes what is under way, whatever
// it waits for, and ends well.
func TestIngestFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	e, _ := newEnvironment(t)
	e.startProjector()
	ending, other := e.startIngest(), e.startIngest()
	c := web(t)
	start := post(c, other.url, "LogService/Append", object{
		"workflow": object{"workflowId": "w"}, "newRun": object{"runId": "r"}, "events": []object{{"eventType": "WorkflowExecutionStarted"}},
	})
	var appended struct{ Position string }
	if err := json.Unmarshal(start.body, &appended); start.status != http.StatusOK || err != nil {
		t.Fatalf("append: %d %s, %v", start.status, start.body, start.err)
	}
	// The next commit of the workflow lies where this one does, one further.
	var partition, sequence int
	if _, err := fmt.Sscanf(appended.Position, "%d:%d", &partition, &sequence); err != nil {
		t.Fatal(err)
	}

	// One call has sent half of its body, one waits for what is not there yet.
	type call struct {
		body   *io.PipeWriter
		answer chan reply
	}
	begin := func(name string) call {
		in, out := io.Pipe()
		serving, answer := make(chan struct{}), make(chan reply, 1)
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(serving) }})
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, ending.url+"/annals.v1."+name, in)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Expect", "100-continue") // the server says when it wants the body
		go func() {
			got, err := c.Do(r)
			if err != nil {
				answer <- reply{err: err}
				return
			}
			defer got.Body.Close()
			body, err := io.ReadAll(got.Body)
			answer <- reply{status: got.StatusCode, body: body, err: err}
		}()
		select {
		case <-serving:
		case got := <-answer:
			t.Fatalf("%s: answered before it was asked: %d %s, %v", name, got.status, got.body, got.err)
		}
		return call{out, answer}
	}
	write := func(c call, text string) {
		if _, err := io.WriteString(c.body, text); err != nil {
			t.Fatal(err)
		}
	}
	half, waiting := begin("LogService/Append"), begin("QueryService/CountExecutions")
	write(half, `{"workflow": {"workflowId": "half"}, "newRun": {"runId": "r"}, `)
	write(waiting, fmt.Sprintf(`{"waitFor": "%d:%d", "waitTimeout": "60s"}`, partition, sequence+1))
	_ = waiting.body.Close()

	if err := ending.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(patience)
	for fresh := web(t); ; {
		got, err := fresh.Get(ending.url + "/healthz")
		if errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
		if err == nil {
			_ = got.Body.Close()
		}
		if fresh.CloseIdleConnections(); time.Now().After(until) {
			t.Fatal("it goes on taking connections")
		}
	}
	for _, c := range []call{half, waiting} {
		select {
		case got := <-c.answer:
			t.Fatalf("answered too soon: %d %s, %v", got.status, got.body, got.err)
		default:
		}
	}
	write(half, `"events": [{"eventType": "WorkflowExecutionStarted"}]}`)
	_ = half.body.Close()
	if got := <-half.answer; got.status != http.StatusOK || !strings.Contains(string(got.body), `"runId":"r"`) {
		t.Errorf("the append under way: %d %s, %v", got.status, got.body, got.err)
	}
	if next := post(c, other.url, "LogService/Append", object{
		"workflow": object{"workflowId": "w"}, "atEnd": object{}, "events": []object{{"eventType": "TimerStarted"}},
	}); next.status != http.StatusOK {
		t.Fatalf("append: %d %s, %v", next.status, next.body, next.err)
	}
	if got := <-waiting.answer; got.status != http.StatusOK || !strings.Contains(string(got.body), `"count":"`) {
		t.Errorf("the query under way: %d %s, %v", got.status, got.body, got.err)
	}
	if code := ending.end(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := post(c, other.url, "LogService/GetHistory", object{"workflow": object{"workflowId": "half"}}); got.status != http.StatusOK {
		t.Errorf("what was appended while it ended: %d %s", got.status, got.body)
	}
}
