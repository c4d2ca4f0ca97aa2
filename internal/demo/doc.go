// Package demo shows the main job: workers in processes of their own run the
// workflows of a shop through the whole pipeline, one of them is killed in the
// middle and started again, and at the end every history and every table is
// checked against what the log says.
//
//	starting ▶ ready ▶ started ▶ killed ▶ resumed ▶ done ▶ checked ▶ (kept) ▶ stopped
//
// The workflows are in package workflows, the engine that runs them in package
// engine: both are what an application would write on the public packages.
// Here is what is around them: the servers, the processes, the customers, and
// the one who looks.
package demo
