// Stands in for what pods of `make test-cluster` talk to outside of the release: a collector of traces, and a vendor's
// service that exchanges a ServiceAccount's token for VENDOR_KEY. GET /received tells what came.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
)

// What came: traces by the process that sent them, and tokens by whose they were.
type received struct {
	Traces    map[string]int    `json:"traces"`
	Headers   map[string]string `json:"headers"`
	Exchanges map[string]string `json:"exchanges"`
}

var (
	lock sync.Mutex
	all  = received{map[string]int{}, map[string]string{}, map[string]string{}}
)

func traces(_ http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	lock.Lock()
	defer lock.Unlock()
	for _, process := range []string{"llmplane-controller", "llmplane-api"} {
		if bytes.Contains(body, []byte(process)) {
			all.Traces[process]++
			all.Headers[process] = request.Header.Get("Authorization")
		}
	}
}

// As RFC 8693 has it; whose token it is stands in its second part.
func exchange(answer http.ResponseWriter, request *http.Request) {
	var claims struct {
		Subject  string   `json:"sub"`
		Audience []string `json:"aud"`
	}
	parts := strings.Split(request.PostFormValue("subject_token"), ".")
	if len(parts) != 3 {
		http.Error(answer, `{"error": "invalid_request"}`, http.StatusBadRequest)
		return
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		http.Error(answer, `{"error": "invalid_grant"}`, http.StatusBadRequest)
		return
	}
	lock.Lock()
	all.Exchanges[claims.Subject] = strings.Join(claims.Audience, ",")
	lock.Unlock()
	tell(answer, map[string]any{
		"access_token": os.Getenv("VENDOR_KEY"), "token_type": "Bearer", "expires_in": 900,
		"issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
	})
}

func tell(answer http.ResponseWriter, what any) {
	answer.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(answer).Encode(what); err != nil {
		log.Print(err)
	}
}

func main() {
	http.HandleFunc("POST /v1/traces", traces)
	http.HandleFunc("POST /api/v1/oauth/token", exchange)
	http.HandleFunc("GET /received", func(answer http.ResponseWriter, _ *http.Request) {
		lock.Lock()
		defer lock.Unlock()
		tell(answer, all)
	})
	log.Fatal(http.ListenAndServe(":14318", nil))
}
