package wellformed

// Rule is what a well-formed history keeps to.
type Rule struct {
	Name   string // as in [Violation], stable
	Says   string // one sentence
	Except string // where real histories of Temporal do not keep to it, and what is asked of them then; empty: nowhere known
}

// The names of the rules.
const (
	IDsAreDense           = "ids-are-dense"
	StartIsFirst          = "start-is-first"
	NothingAfterClose     = "nothing-after-close"
	AttributesFitType     = "attributes-fit-type"
	TimeIsSet             = "time-is-set"
	ReferenceIsThere      = "reference-is-there"
	ReferenceHasType      = "reference-has-type"
	ReferencesAgree       = "references-agree"
	OneWorkflowTask       = "one-workflow-task"
	StartedTaskHasOutcome = "started-task-has-outcome"
	CommandNamesTask      = "command-names-task"
	CommandsFollowTask    = "commands-follow-task"
	ClosedByCommand       = "closed-by-command"
	PendingIDIsUnique     = "pending-id-is-unique"
	StartedOnce           = "started-once"
	EndedOnce             = "ended-once"
	OutcomeFollowsStart   = "outcome-follows-start"
	CanceledIfAsked       = "canceled-if-asked"
	UpdateWasRequested    = "update-was-requested"
	TimesFollowLife       = "times-follow-life"
	AttemptsFromOne       = "attempts-from-one"
	ContinuedRunIsNamed   = "continued-run-is-named"
)

// Rules returns all rules, those of a run first, then those of its workflow
// tasks, then those of what they decide. The list is the caller's own.
func Rules() []Rule {
	return []Rule{
		{
			Name: IDsAreDense,
			Says: "Event ids count from 1, each one more than that of the event before.",
		},
		{
			Name: StartIsFirst,
			Says: "The first event of a run starts it, and no other does.",
		},
		{
			Name: NothingAfterClose,
			Says: "No event comes after the one that closes the run.",
		},
		{
			Name:   AttributesFitType,
			Says:   "An event has the attributes of its type.",
			Except: "Of a type that this version does not know nothing is asked.",
		},
		{
			Name:   TimeIsSet,
			Says:   "An event says when it happened.",
			Except: "Times need not follow the order of events: what was buffered during a workflow task, and activity starts, are written later than they happened. See " + TimesFollowLife + ".",
		},
		{
			Name:   ReferenceIsThere,
			Says:   "A reference to an event of the same run names one that came before.",
			Except: "A reference may be left out where that says something (what an engine without workflow tasks does was decided by none, what timed out was not started), and where servers of old left it out: the acceptance of a completed update, which is then found by its id.",
		},
		{
			Name: ReferenceHasType,
			Says: "A reference names an event of the type that it is for: the scheduled event of an activity is an ActivityTaskScheduled.",
		},
		{
			Name: ReferencesAgree,
			Says: "All that an event says is about one thing: the start that an outcome names is of the task that it names, the timer that it ends has the id that it says.",
		},
		{
			Name: OneWorkflowTask,
			Says: "No workflow task is scheduled while one is pending.",
		},
		{
			Name:   StartedTaskHasOutcome,
			Says:   "A started workflow task is followed by its outcome, directly: a signal in between is what replayers refuse (TMPRL1100).",
			Except: "It may be the last event so far, and whoever terminates a run or lets it time out need not end the task first.",
		},
		{
			Name:   CommandNamesTask,
			Says:   "What a workflow decided (an activity, a timer, a marker, …) names the completed workflow task that decided it.",
			Except: "An engine without workflow tasks has none to name: asked only from the first workflow task of the history on.",
		},
		{
			Name:   CommandsFollowTask,
			Says:   "What a workflow task decided follows directly on its completion, before anything else.",
			Except: "What becomes of a decision at once stands among the decisions: an update accepted, rejected or completed, an activity or Nexus operation canceled before anybody began it.",
		},
		{
			Name:   ClosedByCommand,
			Says:   "A run that completes, fails, is canceled or continues as new does so by decision of a workflow task, and names its completion.",
			Except: "Terminating and timing out come from outside. An engine without workflow tasks closes as it likes.",
		},
		{
			Name:   PendingIDIsUnique,
			Says:   "No two activities, timers or updates are pending under one id, and no two children run under one workflow id.",
			Except: "A child may be asked for while one of that id runs: it must not start.",
		},
		{
			Name: StartedOnce,
			Says: "What is started (a workflow task, an activity, a child, a Nexus operation) was neither started before nor over.",
		},
		{
			Name:   EndedOnce,
			Says:   "What an outcome ends is pending: each thing has one outcome, a timer fires or is canceled, once.",
			Except: "What is pending when the run closes has none.",
		},
		{
			Name:   OutcomeFollowsStart,
			Says:   "What completes or fails was started, and its outcome names the start if it can.",
			Except: "A Nexus operation may complete without having started: it was synchronous. Timing out and being canceled need no start; the refusal of a child needs that there was none.",
		},
		{
			Name: CanceledIfAsked,
			Says: "An activity is canceled only if it was asked to cancel itself.",
		},
		{
			Name: UpdateWasRequested,
			Says: "An update that is accepted or rejected carries its request, or was admitted with it.",
		},
		{
			Name:   TimesFollowLife,
			Says:   "A thing starts no earlier than it was opened, and ends no earlier than it started.",
			Except: "A Nexus operation starts by the clock of the other side. A server whose clock was set back, or that took over from one whose clock was ahead, may break it.",
		},
		{
			Name:   AttemptsFromOne,
			Says:   "Attempts of runs, workflow tasks and activities count from 1.",
			Except: "The first servers counted the attempts of runs and workflow tasks from 0.",
		},
		{
			Name: ContinuedRunIsNamed,
			Says: "A run that continues as new names the run that it continues as.",
		},
	}
}
