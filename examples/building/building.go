// Package building is the example site that the simulator runs when no map is given:
// a hospital wing with two levels, a lift, five doors, four work cells and eight robots.
package building

import _ "embed"

//go:embed site.building.yaml
var file string

// Site is the text of the example building map.
func Site() []byte { return []byte(file) }
