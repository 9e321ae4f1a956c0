import assert from 'node:assert/strict'
import { test } from 'node:test'
import { subjectOf } from './distinguishedName.ts'
import { parsePrincipalRules } from './principalMapping.ts'

test('rules name users as in the documentation of Kafka', () => {
  const rules = `RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/,
    RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L,
    RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/U,
    DEFAULT`
  const nameOf = parsePrincipalRules(rules)
  assert.equal(nameOf('CN=serviceuser,OU=ServiceUsers,O=Unknown,L=Unknown,ST=Unknown,C=Unknown'), 'serviceuser')
  assert.equal(nameOf('CN=adminUser,OU=Admin,O=Unknown,L=Unknown,ST=Unknown,C=Unknown'), 'adminuser@admin')
  assert.equal(nameOf('cn=kafka1,ou=SME,dc=mycp,dc=com'), 'KAFKA1')
  assert.equal(nameOf('OU=JavaUsers,O=x'), 'OU=JavaUsers,O=x')
})

test('a replacement has the groups that there are, and what is escaped stays', () => {
  assert.equal(parsePrincipalRules('RULE:^CN=([^,]+).*$/$1-$2/')('CN=ana,O=x'), 'ana-$2')
  assert.equal(parsePrincipalRules('RULE:^CN=(\\w+)\\/(\\w+)$/$2\\$1/')('CN=a/b'), 'b$1')
  assert.equal(parsePrincipalRules('RULE:^CN=(.*)$/$1/,RULE:x/y/')('O=nobody'), undefined)
})

test('rules that are none are an error', () => {
  for (const rules of ['', 'RULE:a', 'RULE:a/b', 'default', 'RULE:(/x/', 'RULE:a/b/Q', 'DEFAULT RULE:a/b/'])
    assert.throws(() => parsePrincipalRules(rules), { code: 'KAFKA_PRINCIPAL_RULES_INVALID' }, rules)
})

/** An element of DER of less than 128 bytes. */
const der = (tag: number, ...parts: (Buffer | string)[]): Buffer => {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)))
  return Buffer.concat([Buffer.from(body.length < 128 ? [tag, body.length] : [tag, 0x81, body.length]), body])
}
const attribute = (id: number[], tag: number, value: string) => der(0x30, der(6, Buffer.from(id)), der(tag, value))
const certificateOf = (...names: Buffer[]) => {
  const nothing = der(0x30, '')
  return der(0x30, der(0x30, der(0xa0, ''), der(2, '1'), nothing, nothing, nothing, der(0x30, ...names)))
}

test("a certificate's subject reads as in Java", () => {
  const cn = [0x55, 4, 3]
  const mail = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1]
  const names = [
    der(0x31, attribute([0x55, 4, 10], 12, '#x')),
    der(0x31, attribute([0x55, 4, 11], 19, ' a,b+"c"\\ ')),
    der(0x31, attribute(mail, 22, 'a@b.c')),
    der(0x31, attribute(cn, 12, 'Zoë'), attribute([0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], 12, 'u1')),
  ]
  const text = 'CN=Zoë+UID=u1,1.2.840.113549.1.9.1=#16056140622e63,OU=\\ a\\,b\\+\\"c\\"\\\\\\ ,O=\\#x'
  const bytes = certificateOf(...names)
  assert.equal(subjectOf(bytes), text)
  for (let size = 0; size < bytes.length; size++) assert.throws(() => subjectOf(bytes.subarray(0, size)), Error)
})
