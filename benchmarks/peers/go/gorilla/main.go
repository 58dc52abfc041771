// gorilla/websocket on net/http, a goroutine for each connection. It leaves the validation of text
// to its application. Its buffers are those of the HTTP server, which is its default.
package main

import (
	"errors"
	"flag"
	"net/http"
	"time"

	"echo-trio/benchmarks/peers/contract"

	"github.com/gorilla/websocket"
)

func echo(upgrader *websocket.Upgrader) http.HandlerFunc {
	return func(response http.ResponseWriter, request *http.Request) {
		connection, err := upgrader.Upgrade(response, request, nil)
		if err != nil {
			return
		}
		defer connection.Close()
		connection.SetReadLimit(contract.MaxMessageBytes)
		for {
			kind, message, err := connection.NextReader()
			if err != nil {
				return
			}
			err = contract.Answer(message, kind == websocket.TextMessage, func(reply []byte) error {
				return connection.WriteMessage(kind, reply)
			})
			if errors.Is(err, contract.ErrInvalidText) {
				farewell := websocket.FormatCloseMessage(websocket.CloseInvalidFramePayloadData, "")
				connection.WriteControl(
					websocket.CloseMessage, farewell, time.Now().Add(time.Second))
			}
			if err != nil {
				return
			}
		}
	}
}

func main() {
	flag.Parse()
	contract.Serve(echo(&websocket.Upgrader{EnableCompression: *contract.Compression}))
}
