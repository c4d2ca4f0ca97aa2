package temporal

import "testing"

// Everything that is asked of both, on one server.
func TestTemporalAsTheJudge(t *testing.T) {
	t.Parallel()
	s := startServer(t, unlimited)
	if !t.Run("scenarios", func(t *testing.T) {
		for _, scenario := range scenarios {
			t.Run(scenario.name, func(t *testing.T) {
				t.Parallel()
				scenario.start(t, s)
			})
		}
	}) {
		t.FailNow()
	}
	all := s.record(t)
	t.Run("golden", func(t *testing.T) { checkGolden(t, s.namespace, all) })
	a := newAnnals(t, s.namespace, all)
	t.Run("describe", func(t *testing.T) { a.describeAll(t, all) })
	t.Run("list and count", func(t *testing.T) {
		for _, about := range filters {
			t.Run(about.about, func(t *testing.T) {
				t.Parallel()
				judge(t, all["complete"][0], about, s.answer, a.answer)
			})
		}
	})
	t.Run("replay", func(t *testing.T) { a.replay(t, all) })
	t.Run("groups", func(t *testing.T) { judge(t, all["complete"][0], groups, s.groups, a.groups) })
}
