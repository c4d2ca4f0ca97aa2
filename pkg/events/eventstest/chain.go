package eventstest

func chainCases() []testCase { return nil }
