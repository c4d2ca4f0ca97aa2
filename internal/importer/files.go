package importer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// extensions are those of the files that are taken from a folder. A file that
// is named itself may have any.
var extensions = append([]string{".json", ".jsonl", ".ndjson"}, binaryExtensions...)

// listing is the files that paths name.
type listing struct {
	files   []string
	refused []Result // paths that name none
}

// list finds the files that the paths name: each file once, the files of a
// folder and of the folders in it in the order of their names. Hidden ones in a
// folder are left out. A path that is none is taken for a pattern, as
// filepath.Match has it, of files and folders.
func list(paths []string) listing {
	var l listing
	seen := map[string]bool{}
	add := func(file string) {
		if key := filepath.Clean(file); !seen[key] {
			seen[key] = true
			l.files = append(l.files, file)
		}
	}
	for _, path := range expand(paths) {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			l.refuse(path, err)
		case !info.IsDir():
			add(path)
		default:
			files, err := inFolder(path)
			if err == nil && len(files) == 0 {
				err = errors.New("no file in it ends in " + strings.Join(extensions, ", "))
			}
			if err != nil {
				l.refuse(path, err)
			}
			for _, f := range files {
				add(f)
			}
		}
	}
	return l
}

// expand puts in the place of a pattern what it matches, if that is anything.
func expand(paths []string) []string {
	var all []string
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			if matches, err := filepath.Glob(path); err == nil && len(matches) > 0 {
				all = append(all, matches...)
				continue
			}
		}
		all = append(all, path)
	}
	return all
}

func (l *listing) refuse(path string, err error) {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) && pathErr.Path == path {
		err = pathErr.Err
	}
	l.refused = append(l.refused, Result{File: path, Outcome: Refused, Reason: err.Error(), Dropped: []string{}})
}

func inFolder(folder string) ([]string, error) {
	// A link to a folder is followed if it is named, not if it is found.
	root, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return nil, err
	}
	var files []string
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := path != root && strings.HasPrefix(d.Name(), ".")
		switch {
		case d.IsDir() && hidden:
			return filepath.SkipDir
		case d.IsDir() || hidden || !slices.Contains(extensions, strings.ToLower(filepath.Ext(path))):
			return nil
		}
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files = append(files, filepath.Join(folder, rel))
		return nil
	})
	return files, err
}
