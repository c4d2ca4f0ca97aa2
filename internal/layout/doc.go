// Package layout holds the test that keeps this module's packages importing
// each other in one direction only, and nothing else.
package layout
