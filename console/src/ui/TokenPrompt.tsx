// Asks for the access token when the server wants one. Kept for this tab only.
import { type FormEvent, useState } from 'react'
import { access } from '../api/client.ts'
import { Modal } from './parts.tsx'

/** What an HTTP header and a WebSocket subprotocol can both carry. */
const tokenPattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

export default function TokenPrompt() {
  const [text, setText] = useState('')
  const [isWrong, setWrong] = useState(false)
  const hadToken = access.token() !== null
  const submit = (event: FormEvent): void => {
    event.preventDefault()
    if (tokenPattern.test(text.trim())) access.accept(text.trim())
    else setWrong(true)
  }
  return (
    <Modal title="Access token" className="token-prompt" onClose={() => undefined} isTitleHidden>
      <form onSubmit={submit}>
        <h2>This server asks for a token</h2>
        <p>
          {hadToken ? 'The last token was refused.' : 'It is printed by the command that created it.'} It stays in this tab until you close
          it.
        </p>
        <label htmlFor="token">Token</label>
        <input
          id="token"
          type="password"
          value={text}
          onChange={(event) => {
            setText(event.target.value)
            setWrong(false)
          }}
          autoComplete="off"
          aria-invalid={isWrong}
          aria-describedby={isWrong ? 'token-wrong' : undefined}
        />
        <p id="token-wrong" className="field-error" role="alert">
          {isWrong ? 'A token has letters, digits and a few signs, no spaces.' : ''}
        </p>
        <button type="submit" className="button primary" disabled={text.trim() === ''}>
          Continue
        </button>
      </form>
    </Modal>
  )
}
