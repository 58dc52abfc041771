/** 1006 is never sent: the browser makes it up where no Close frame arrived. */
export const NO_CLOSE_FRAME = 1006;

/** What a close code says, for someone who has not read RFC 6455. */
export interface CloseCodeMeaning {
  readonly name: string;
  readonly meaning: string;
  /** What to try next; absent where there is nothing to do. */
  readonly advice?: string;
}

/** RFC 6455 section 7.4.1 and the IANA WebSocket Close Code Number registry. */
const REGISTERED: Readonly<Record<number, CloseCodeMeaning>> = {
  1000: { name: 'Normal closure', meaning: 'The conversation was over; nothing went wrong.' },
  1001: {
    name: 'Going away',
    meaning: 'The server is shutting down or restarting, or has no more use for this connection.',
    advice: 'Connect again once the server is back.',
  },
  1002: {
    name: 'Protocol error',
    meaning: 'One end sent something that the WebSocket protocol forbids.',
    advice: 'The server’s log should name the offending frame.',
  },
  1003: {
    name: 'Unsupported data',
    meaning: 'The server does not accept this kind of message, such as binary where it wants text.',
    advice: 'Send the other kind.',
  },
  1005: {
    name: 'No code given',
    meaning: 'The connection was closed properly, but the Close frame carried no code.',
  },
  1006: {
    name: 'Abnormal closure',
    meaning:
      'The connection ended without a Close frame. Browsers hide the cause from pages, so this ' +
      'page cannot tell a crash from a network failure.',
    advice: 'Look in the server’s log, or in the browser’s developer console.',
  },
  1007: {
    name: 'Invalid payload',
    meaning: 'A text message or close reason was not valid UTF-8.',
  },
  1008: {
    name: 'Policy violation',
    meaning: 'The server refused to go on, by a rule of its own.',
    advice: 'The reason, if there is one, names the rule.',
  },
  1009: {
    name: 'Message too big',
    meaning: 'A message was larger than the server accepts.',
    advice: 'Send less at a time, or raise the server’s --max-message-size.',
  },
  1010: {
    name: 'Missing extension',
    meaning: 'The client needed an extension that the server did not offer.',
  },
  1011: {
    name: 'Internal error',
    meaning: 'Something failed inside the server, or it stopped hearing from this page.',
    advice: 'Look in the server’s log.',
  },
  1012: {
    name: 'Service restart',
    meaning: 'The server is restarting.',
    advice: 'Connect again in a moment.',
  },
  1013: {
    name: 'Try again later',
    meaning: 'The server has too much to do at present.',
    advice: 'Connect again in a while.',
  },
  1014: {
    name: 'Bad gateway',
    meaning: 'A gateway got an invalid answer from the server behind it.',
  },
  3000: { name: 'Unauthorized', meaning: 'The server wants you to identify yourself first.' },
  3003: { name: 'Forbidden', meaning: 'The server knows who you are, and says no.' },
  3008: { name: 'Timeout', meaning: 'The server waited too long for something.' },
};

export function explainCloseCode(code: number): CloseCodeMeaning {
  const registered = REGISTERED[code];
  if (registered !== undefined) return registered;
  if (code >= 4000 && code <= 4999) {
    return {
      name: 'Private code',
      meaning: 'Codes from 4000 on mean what the application says they mean.',
      advice: 'Look it up in the server’s own documentation.',
    };
  }
  if (code >= 3000 && code <= 3999) {
    return {
      name: 'Library code',
      meaning: 'Codes from 3000 on belong to libraries and frameworks, which register them.',
    };
  }
  return { name: 'Reserved code', meaning: 'No standard gives this code a meaning yet.' };
}
