package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Record is a round as it is kept in a file: one JSON object a line. Times are in nanoseconds.
type Record struct {
	Result
	Failed bool `json:",omitempty"`
}

// Write appends the record to a file.
func (r Record) Write(w io.Writer) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// Read adds the records of a file. Its error tells which of them is none, counted from 1.
func (r *Report) Read(from io.Reader) error {
	d := json.NewDecoder(from)
	d.DisallowUnknownFields()
	for n := 1; ; n++ {
		var one Record
		err := d.Decode(&one)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("record %d: %w", n, err)
		}
		r.Add(one.Result, one.Failed)
	}
}
