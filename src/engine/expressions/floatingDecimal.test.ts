import assert from 'node:assert/strict'
import { test } from 'node:test'
import { doubleText, floatText } from './numbers.ts'

// Written by Java 17: Double.toString and Float.toString.
test('texts of doubles are those of Java 17', () => {
  const texts = ['2.0E-16', '8.837954310597885E15', '1.9999999999999998E23', '1.2345678901234566E16', '1.0E17', '5.1324178521753286E17']
  const more = ['3.2148553208128307E-24', '9999999.0', '1.0E7', '0.001', '9.999E-4', '-1.1999999999999999E24', '4.9E-324', '0.1']
  for (const text of [...texts, ...more]) assert.equal(doubleText(Number(text)), text)
})
test('texts of floats are those of Java 17', () => {
  const texts = ['1.23456792E8', '8.8379545E15', '1.5748398', '6.3012075E16', '0.1', '3.4028235E38', '1.4E-45', '8.9999995E9', '2.0E-16']
  for (const text of texts) assert.equal(floatText(Math.fround(Number(text))), text)
})
