// SPDX-License-Identifier: Apache-2.0

// Go's net/http: tells method, target and body of each request.
package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
)

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(400)
		return
	}
	text := hex.EncodeToString(body)
	if text == "" {
		text = "-"
	}
	line := fmt.Sprintf("%x %x %s\n", r.Method, r.RequestURI, text)
	os.Stdout.WriteString(line)
	w.Header().Set("Content-Length", fmt.Sprint(len(line)))
	io.WriteString(w, line)
}

func main() {
	// Not the default mux: it redirects paths that are not clean.
	err := http.ListenAndServe("127.0.0.1:"+os.Args[1],
		http.HandlerFunc(echo))
	fmt.Fprintln(os.Stderr, err)
}
