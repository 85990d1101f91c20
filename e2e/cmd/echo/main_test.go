package main

import (
	"net/http/httptest"
	"testing"
)

func TestAnswer(t *testing.T) {
	request := httptest.NewRequest("PUT", "http://192.0.2.1/path", nil)
	request.RemoteAddr = "[2001:db8::7]:1234"
	recorder := httptest.NewRecorder()
	newHandler("web-1", "").ServeHTTP(recorder, request)
	want := `{"pod":"web-1","method":"PUT","path":"/path","host":"192.0.2.1","client":"[2001:db8::7]:1234"}` + "\n"
	if got := recorder.Body.String(); got != want {
		t.Errorf("answer is %s, want %s", got, want)
	}
}
