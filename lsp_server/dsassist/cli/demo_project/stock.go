// Package stock counts what the warehouse holds.
package stock

import "fmt"

// Shelf maps a product's name to how many there are.
type Shelf map[string]int

// Take removes n of a product, or says how many are missing.
func (s Shelf) Take(name string, n int) error {
	if s[name] < n {
		return fmt.Errorf("%s: %d missing", name, n-s[name])
	}
	s[name] -= n
	return nil
}

// Total counts everything on the shelf.
func (s Shelf) Total() int {
	total := 0
	for _, n := range s {
		total += n
	}
	return total
}
