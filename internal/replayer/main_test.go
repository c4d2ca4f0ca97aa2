package replayer_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/annals-io/annals/internal/testenv"
)

// pipe says, in the environment, by which named pipe a child is seen or told.
const pipe = "REPLAYER_TEST_PIPE"

// startChild starts this binary, in the group of the program or in a session of
// its own.
func startChild(how string, stdout *os.File, own bool) {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	c := exec.Command(self)
	c.Env, c.Stdout = append(os.Environ(), behave+"="+how), stdout
	if own {
		c.Stderr = os.Stderr // to hold that, too
	}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: own}
	if err := c.Start(); err != nil {
		panic(err)
	}
}

// behave says, in the environment, that this binary is to be the program.
const behave = "REPLAYER_TEST_BEHAVE"

func TestMain(m *testing.M) {
	if how := os.Getenv(behave); how != "" {
		os.Exit(program(how))
	}
	testenv.Main(m)
}

// program charges a card, and completes once that was done. It behaves well, or
// as it is told to: badly from a workflow named bad on.
func program(how string) int {
	in := bufio.NewReader(os.Stdin)
	fmt.Fprintln(os.Stderr, "the program says:", how)
	switch how {
	case "deaf":
		select {} //nolint:revive // it never reads
	case "talks without reading":
		fmt.Println(`{"task":1}`)
		select {}
	case "stays until told":
		told, err := os.Open(os.Getenv(pipe))
		if err != nil {
			return 9
		}
		_, _ = io.Copy(io.Discard, told)
		return 0
	case "leaves a child":
		held, err := os.OpenFile(os.Getenv(pipe), os.O_WRONLY, 0)
		if err != nil {
			return 9
		}
		startChild("deaf", held, false)
		_ = held.Close()
	case "hang in another group":
		group, err := syscall.Getpgid(os.Getppid())
		if err != nil || syscall.Setpgid(0, group) != nil {
			return 9
		}
	case "dies before its child":
		startChild("deaf", os.Stdout, false)
	case "dies before a child of its own":
		startChild("stays until told", os.Stdout, true)
	}
	done := false
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			break
		}
		var q struct {
			Task     int
			Begin    bool
			Workflow struct{ WorkflowID string }
			Events   []struct{ EventType string }
		}
		if err := json.Unmarshal([]byte(line), &q); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 9
		}
		done = done && !q.Begin
		undecided := q.Begin
		for _, e := range q.Events {
			undecided = undecided || e.EventType == "EVENT_TYPE_ACTIVITY_TASK_COMPLETED"
			done = done || e.EventType == "EVENT_TYPE_ACTIVITY_TASK_COMPLETED"
		}
		answer := `"commands":[]`
		switch {
		case undecided && done:
			answer = `"events":[{"eventType":"WorkflowExecutionCompleted","workflowExecutionCompletedEventAttributes":{}}]`
		case undecided:
			answer = `"commands":[{"commandType":"ScheduleActivityTask","scheduleActivityTaskCommandAttributes":{"activityId":"charge","activityType":{"name":"Charge"}}}]`
		}
		if q.Workflow.WorkflowID == "bad" {
			switch how {
			case "other":
				answer = strings.Replace(answer, `"Charge"`, `"ChargeCard"`, 1)
			case "error":
				answer = `"error":"no such workflow type"`
			case "die", "dies before its child", "dies before a child of its own":
				fmt.Fprintln(os.Stderr, "out of memory")
				return 7
			case "hang", "hang in another group":
				select {}
			case "nonsense":
				fmt.Println("hello")
			case "flood":
				for {
					if _, err := os.Stdout.WriteString(strings.Repeat("x", 1<<16)); err != nil {
						return 0
					}
				}
			case "twice":
				fmt.Printf("{\"task\":%d}\n", q.Task)
			case "wrong number":
				q.Task++
			case "no number":
				fmt.Println("{}")
			case "unknown field":
				answer = `"comands":[]`
			case "unknown command field":
				answer = `"commands":[{"commandType":"StartTimer","startTimerCommandAttributes":{"timmerId":"t"}}]`
			case "no type":
				answer = `"commands":[{}]`
			case "no command":
				answer = `"events":[{"eventType":"WorkflowExecutionSignaled"}]`
			case "both":
				answer = `"events":[],"commands":[]`
			}
		}
		fmt.Printf("{\"task\":%d,%s}\n", q.Task, answer)
	}
	if how == "fails at the end" {
		return 3
	}
	if how == "talks at the end" {
		fmt.Println("good bye")
	}
	if how == "stays" {
		select {}
	}
	return 0
}
