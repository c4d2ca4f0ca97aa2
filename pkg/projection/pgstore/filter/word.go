package filter

import "strings"

// separators are what stands between the words of a text: all of ASCII but letters
// and digits. It is for text in lower case.
const separators = "[\\x01-/:-`{-\\x7f]+"

// normalizedWords makes of a text its words in lower case, each between blanks.
// Its lower case is that of ASCII: what the database's locale is changes nothing.
func normalizedWords(text string) string {
	return `(' ' || regexp_replace(lower(` + text + `), '` + separators + `', ' ', 'g') || ' ')`
}

func isSeparator(r rune) bool {
	return r < 0x80 && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

func isBlank(r rune) bool { return r == ' ' || '\t' <= r && r <= '\r' }

func lowerASCII(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// parseWords takes a text, of which any word is looked for: what stands between
// blanks, and if that is several words, those one after another. It gives patterns
// of normalizedWords; none where there is no word.
func parseWords(l literal) (any, string) {
	if l.form != aText {
		return nil, "want a text in quotes, found " + string(l.form)
	}
	if strings.TrimSpace(l.text) == "" {
		return nil, "want a word to look for, found none"
	}
	likes := []string{}
	for _, phrase := range strings.FieldsFunc(l.text, isBlank) {
		found := strings.FieldsFunc(strings.Map(lowerASCII, phrase), isSeparator)
		if len(found) > 0 {
			likes = append(likes, "% "+strings.Join(found, " ")+" %")
		}
	}
	return likes, ""
}
