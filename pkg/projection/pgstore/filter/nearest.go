package filter

import "strings"

// typos is how many wrong letters a name may have and still be taken for another.
const typos = 2

// nearest is the one of the names that was meant by one that is none of them: but
// for upper and lower case it is the same, or a letter or two are wrong, missing, too
// many or swapped. Empty if there is none.
func nearest(name string, names []string) string {
	meant, least := "", min(typos, len(name)/3)+1
	for _, known := range names {
		if strings.EqualFold(known, name) {
			return known
		}
		if d := distance(name, known); d < least {
			meant, least = known, d
		}
	}
	return meant
}

// distance is how many bytes have to be put in, taken out, replaced or swapped with
// their neighbour to make b of a.
func distance(a, b string) int {
	if d := len(a) - len(b); d > typos || -d > typos {
		return typos + 1 // at least; names are compared by the hundred
	}
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, above, row = above, row, before
		row[0] = i + 1
		for j := range len(b) {
			replaced := above[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(replaced, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
