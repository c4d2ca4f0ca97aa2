package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-io/annals/pkg/events"
	"github.com/annals-io/annals/pkg/searchattribute"
)

func searchAttributeCommand(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use:   "search-attribute",
		Short: "List and register search attributes",
	}, searchAttributeListCommand(a), searchAttributeAddCommand(a))
}

func searchAttributeListCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "The search attributes of a namespace, their types, and what does not fit them",
		Long: `Prints the registered search attributes of the namespace, from the log: their type, and who or which commit
registered it. Below stand conflicts: the first value of each sort that says another type, or is none of the
attribute's, with the position of its commit; and another type that was registered later. They stop nothing, and
the type stays as it is.

Temporal's own attributes, such as TemporalChangeVersion, need no registration: they are listed where something
conflicts with them.`,
		Example: `  annals search-attribute list
  annals search-attribute list -n shop -o json`,
		Args: cobra.NoArgs,
	}
	o := outputFlag(c, formatTable, formatJSON, formatJSONL)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := events.CheckID("namespace", a.namespace, events.MaxNamespaceBytes); err != nil {
			return err
		}
		log, err := a.open(c.Context())
		if err != nil {
			return err
		}
		r, err := searchattribute.Load(c.Context(), log, 0)
		if err != nil {
			return err
		}
		return a.printSearchAttributes(o, describeSearchAttributes(r, a.namespace))
	}
	return c
}

func searchAttributeAddCommand(a *app) *cobra.Command {
	names := make([]string, len(searchattribute.Types))
	for i, t := range searchattribute.Types {
		names[i] = t.String()
	}
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "add NAME TYPE",
		Short: "Register a search attribute",
		Long: `Gives a search attribute of the namespace its type: ` + strings.Join(names, ", ") + `.
The first value that says its type does the same; this command is for those who want to be first.

A type is for good. It cannot be changed or removed, since rows and histories have been read by it: use another
name. To register it again with the type that it has does nothing; with another type it is refused, with exit
code 1. Where the outcome is unknown (exit code 3), run it again.`,
		Example: `  annals search-attribute add CustomerId Keyword
  annals search-attribute add -n shop Tags KeywordList`,
		Args: cobra.ExactArgs(2),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return names, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long to try")
	o := outputFlag(c, formatTable, formatJSON)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkTimeout(timeout); err != nil {
			return err
		}
		t, err := searchattribute.ParseType(args[1])
		if err != nil {
			return err
		}
		if _, err := searchattribute.Registration(a.namespace, args[0], t); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(c.Context(), timeout)
		defer cancel()
		log, err := a.open(ctx)
		if err != nil {
			return err
		}
		got, existed, err := searchattribute.NewRegistrar(log, "annals search-attribute add", nil).Register(ctx, a.namespace, args[0], t)
		if errors.Is(err, events.ErrOutcomeUnknown) {
			return fmt.Errorf("%w; run the command again", err)
		}
		if err != nil {
			return err
		}
		v := addedJSON{attributeJSON: attributeOf(got), Existed: existed}
		if o.is(formatJSON) {
			return printJSON(a.out, v)
		}
		how := "registered"
		if existed {
			how = "was registered already"
		}
		fmt.Fprintf(a.out, "%s of namespace %s %s: %s\n", cell(v.Name), cell(v.Namespace), how, v.Type)
		return nil
	}
	return c
}

// attributeJSON is a search attribute as `search-attribute list -o json` has it.
type attributeJSON struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Type      string `json:"type"`
	// Predefined are Temporal's own: they have no registration.
	Predefined   bool       `json:"predefined"`
	RegisteredAt *time.Time `json:"registeredAt"`
	RegisteredBy string     `json:"registeredBy"`
	// Cause is the position of the commit whose value registered it; empty: a command did.
	Cause     string         `json:"cause"`
	Conflicts []conflictJSON `json:"conflicts"`
}

// conflictJSON is the first of a sort.
type conflictJSON struct {
	Sort    searchattribute.Sort `json:"sort"`
	Found   string               `json:"found"`
	Cause   string               `json:"cause"` // empty: of a registration
	NotedAt time.Time            `json:"notedAt"`
	NotedBy string               `json:"notedBy"`
}

// addedJSON is `search-attribute add -o json`.
type addedJSON struct {
	attributeJSON
	Existed bool `json:"existed"`
}

// attributesJSON is `search-attribute list -o json`.
type attributesJSON struct {
	SearchAttributes []attributeJSON `json:"searchAttributes"`
	// UnknownDecisions and ForeignMessages are what the whole control stream has
	// beside: decisions of kinds that this version does not know, and messages that
	// are no decisions.
	UnknownDecisions int `json:"unknownDecisions"`
	ForeignMessages  int `json:"foreignMessages"`
}

func attributeOf(x searchattribute.Attribute) attributeJSON {
	at := x.Time.UTC()
	return attributeJSON{
		Namespace: x.Namespace, Name: x.Name, Type: x.TypeName, RegisteredAt: &at, RegisteredBy: x.By, Cause: positionOf(x.Cause), Conflicts: []conflictJSON{},
	}
}

// positionOf is a position as a text, empty if there is none.
func positionOf(p events.Position) string {
	if p == (events.Position{}) {
		return ""
	}
	return p.String()
}

func describeSearchAttributes(r *searchattribute.Registry, namespace string) attributesJSON {
	v := attributesJSON{SearchAttributes: []attributeJSON{}, UnknownDecisions: r.Unknown, ForeignMessages: r.Foreign}
	index := map[string]int{}
	for x := range r.Attributes(namespace) {
		index[x.Name] = len(v.SearchAttributes)
		v.SearchAttributes = append(v.SearchAttributes, attributeOf(x))
	}
	for x := range r.Conflicts(namespace) {
		i, ok := index[x.Name]
		if !ok {
			i = len(v.SearchAttributes)
			index[x.Name] = i
			_, predefined := searchattribute.Predefined(x.Name)
			v.SearchAttributes = append(v.SearchAttributes, attributeJSON{Namespace: x.Namespace, Name: x.Name, Type: x.TypeName, Predefined: predefined})
		}
		v.SearchAttributes[i].Conflicts = append(v.SearchAttributes[i].Conflicts, conflictJSON{
			Sort: x.Sort, Found: x.Found, Cause: positionOf(x.Cause), NotedAt: x.Time.UTC(), NotedBy: x.By,
		})
	}
	return v
}

func (a *app) printSearchAttributes(o *output, v attributesJSON) error {
	switch {
	case o.is(formatJSON):
		return printJSON(a.out, v)
	case o.is(formatJSONL):
		for _, x := range v.SearchAttributes {
			if err := printLine(a.out, x); err != nil {
				return err
			}
		}
		return nil
	}
	t := newTable(a.out, "name", "type", "registered", "by", "commit", "conflicts")
	conflicts := 0
	for _, x := range v.SearchAttributes {
		conflicts += len(x.Conflicts)
		at := time.Time{}
		if x.RegisteredAt != nil {
			at = *x.RegisteredAt
		}
		by := x.RegisteredBy
		if x.Predefined {
			by = "Temporal's own"
		}
		t.row(x.Name, x.Type, at, by, x.Cause, len(x.Conflicts))
	}
	if err := t.flush(); err != nil {
		return err
	}
	if conflicts > 0 {
		fmt.Fprintln(a.out)
		t := newTable(a.out, "conflict", "sort", "found", "type", "first commit", "noted", "by")
		for _, x := range v.SearchAttributes {
			for _, c := range x.Conflicts {
				t.row(x.Name, c.Sort, c.Found, x.Type, c.Cause, c.NotedAt, c.NotedBy)
			}
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
	if v.UnknownDecisions > 0 || v.ForeignMessages > 0 {
		fmt.Fprintf(a.out, "\nThe control stream also has %s of kinds that this version does not know, and %s that are none.\n",
			plural(int64(v.UnknownDecisions), "decision"), plural(int64(v.ForeignMessages), "message"))
	}
	return nil
}
